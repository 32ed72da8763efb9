#!/bin/sh
# usage: check.sh PACKAGE CODENAME CLIP
# Installs the package into a pristine system of its release, hears an alert from the daemon there, and takes it away again.
# Nothing is emulated, and nothing is left; systemd does not run there, as it does in tests/vm. Needs root and mmdebstrap.
set -eu
package=$1 codename=$2 clip=$3
tests=$(cd "$(dirname "$0")" && pwd)
case $codename in
jammy | noble) mirror=http://archive.ubuntu.com/ubuntu components=main,universe keys=${UBUNTU_KEYRING:-/usr/share/keyrings/ubuntu-archive-keyring.gpg} ;;
*) mirror=http://deb.debian.org/debian components=main keys= ;;
esac
parcel=$(mktemp -d)
trap 'rm -rf "$parcel"' EXIT
trap 'exit 1' INT TERM
cp "$package" "$parcel/edged.deb"
cp "$clip" "$parcel/entrance.mp4"
cp "$tests/inside.sh" "$tests/../vm/scenarios/install/files.sh" "$parcel/"
mmdebstrap --quiet --variant=minbase --components=$components ${keys:+--keyring=$keys} \
    --include=apt,systemd,systemd-sysv,iproute2,mosquitto,mosquitto-clients,tzdata,ca-certificates \
    --customize-hook="mkdir \"\$1\"/parcel && cp \"$parcel\"/* \"\$1\"/parcel/" \
    --customize-hook='chroot "$1" sh /parcel/inside.sh before' \
    --customize-hook='chroot "$1" unshare --net sh /parcel/inside.sh alert' \
    --customize-hook='chroot "$1" sh /parcel/inside.sh after' \
    "$codename" /dev/null "$mirror"
