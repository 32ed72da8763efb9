# What was set up is on the disk before any power goes.
sync
systemctl restart edged.service
active active || fail "not active"
