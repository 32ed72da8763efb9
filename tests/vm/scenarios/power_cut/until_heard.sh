# Until an event of this boot was heard, and a little longer.
(timeout 280 tail -n 0 -F /run/heard 2>/dev/null || true) | grep -qm1 '/events ' || fail "no event"
sleep "$after"
