# Plugged in again: the same daemon has it, with the rights that udev gives.
pid=$(systemctl show edged -p MainPID --value)
echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/bind
in_audio() { [ "$(stat -Lc %G /dev/snd/controlC0 /dev/snd/pcmC0D0p /dev/snd/pcmC0D1c | sort -u)" = audio ]; }
wait_for 60 in_audio
