# What the card is given while the siren is tried out: both of its pitches (2,400 and 3,100 Hz), for two seconds at least.
arecord -q -D plughw:CARD=Loopback,DEV=1 -f S16_LE -r 22050 -c 1 -t raw -d 15 /tmp/heard.raw &
recorder=$!
sleep 1
edged outputs test siren --seconds 8 || fail "it does not sound"
wait $recorder || fail "nothing could be recorded"
cat >/tmp/pitches.py <<'PY'
import sys
import numpy as np

RATE, HALF = 22_050, 11_025
samples = np.fromfile("/tmp/heard.raw", np.int16).astype(float)
windows = samples[: len(samples) // HALF * HALF].reshape(-1, HALF)
loud = windows[windows.std(axis=1) > 1000]
spectra = np.abs(np.fft.rfft(loud, axis=1))
at = lambda hertz: spectra[:, (hertz - 20) // 2 : (hertz + 20) // 2 + 1].max(axis=1)
# Of all pitches, those two are the loudest: a quarter of a second of each is in every half.
sirens = np.sort(np.stack([at(2400), at(3100)]), axis=0)[0] > 0.2 * spectra.max(axis=1) if len(loud) else np.zeros(0, bool)
print(f"{len(loud)} half seconds with sound, {int(sirens.sum())} of them the siren")
sys.exit(int(sirens.sum() < 4))
PY
said=$(/opt/edged/bin/python /tmp/pitches.py) || fail "no siren in what the card was given: $said"
echo "$when: $said"
