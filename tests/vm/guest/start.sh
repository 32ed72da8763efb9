systemctl restart edged.service
active active || fail "not active"
