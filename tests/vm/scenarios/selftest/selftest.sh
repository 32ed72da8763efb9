edged selftest >/tmp/selftest || fail "$(cat /tmp/selftest)"
grep -E '^[✓–✗]' /tmp/selftest | tr -s ' '
