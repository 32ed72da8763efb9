# Installed, enabled, and waiting for a camera; nothing has failed.
[ "$(systemctl is-enabled edged.service edged-report.timer | sort -u)" = enabled ] || fail "not enabled"
active active || fail "it does not wait for a camera: $(systemctl show edged -p ActiveState --value)"
[ -z "$(systemctl list-units --failed --no-legend 'edged*')" ] || fail "a unit failed"
edged --version
edged doctor 2>&1 | grep -i camera || fail "doctor does not say what is next"
[ "$(stat -c '%U:%G %a' /var/lib/edged)" = "edged:edged 750" ] || fail "the state directory is $(stat -c '%U:%G %a' /var/lib/edged)"
systemd-analyze verify --man=no /lib/systemd/system/edged*.service /lib/systemd/system/edged*.timer 2>&1 | grep . && fail "verify" || true
apt-get check -qq
MANPAGER=cat; test -f /usr/share/man/man1/edged.1.gz
