wait_for 200 systemctl is-active -q multi-user.target
systemd-analyze critical-chain edged.service --no-pager | sed -n '/^edged/,$p' | tr -s ' \n' ' '
