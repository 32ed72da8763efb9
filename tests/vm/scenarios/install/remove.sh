# Removing keeps what was recorded; purging takes it away.
apt-get remove -y edged >/dev/null 2>&1 || fail "remove"
[ -e /var/lib/edged/edged.db ] || fail "removing took the record"
[ -e /etc/edged/edged.toml ] || fail "removing took the config"
! pgrep -u edged || fail "something of edged's still runs"
apt-get purge -y edged >/dev/null 2>&1 || fail "purge"
