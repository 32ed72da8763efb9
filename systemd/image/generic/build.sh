#!/bin/bash
# usage: build.sh BOARD [PACKAGE OUT]
# Makes an image of Debian 13 with edged for UEFI machines: OUT/edged-BOARD.img.xz with .bmap and .sha256. BOARD is
# generic-amd64 or generic-arm64, PACKAGE the .deb for trixie. Needs root, or else fakeroot. The files get their names
# when they are whole; a failure leaves nothing. With BOARD alone it says whether this machine has what that needs.
set -euo pipefail
umask 022

stop() {
    echo "image: $*" >&2
    exit 1
}

[ $# -eq 1 ] || [ $# -eq 3 ] || stop "usage: build.sh BOARD [PACKAGE OUT]"
board=$1 suite=trixie mirror=${MIRROR:-http://deb.debian.org/debian}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# One type of partition for each processor, by which systemd knows the root (Discoverable Partitions Specification).
case $board in
generic-amd64) arch=amd64 efi=x64 serial=ttyS0 root_type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709 microcode=,intel-microcode,amd64-microcode ;;
generic-arm64) arch=arm64 efi=aa64 serial=ttyAMA0 root_type=b921b045-1df0-41c3-af44-4c6f280d3fae microcode= ;;
*) stop "BOARD is generic-amd64 or generic-arm64, not $board" ;;
esac
PATH=$PATH:/usr/sbin:/sbin
for program in mmdebstrap: mke2fs:e2fsprogs mkfs.vfat:dosfstools mcopy:mtools sfdisk:fdisk bmaptool:bmap-tools xz:xz-utils; do
    command -v "${program%:*}" >/dev/null || stop "${program%:*} is missing; apt install ${program#*:}"
done
[ "$(dpkg --print-architecture)" = $arch ] || arch-test $arch >/dev/null 2>&1 ||
    stop "this machine runs no programs for $arch; apt install arch-test qemu-user-static, and mount binfmt_misc"
[ $# -eq 3 ] || exit 0
package=$2 out=$3
[ -f "$package" ] || stop "$package is missing; make deb CODENAME=$suite ARCH=$arch makes it"
package=$(realpath "$package")
version=$(dpkg-deb --field "$package" Version) || stop "$package is no package"
[ "$(dpkg-deb --field "$package" Package)" = edged ] && [ "$(dpkg-deb --field "$package" Architecture)" = $arch ] && [[ $version == *+$suite* ]] ||
    stop "$package is not edged for $suite and $arch"
as_root=()
[ "$(id -u)" = 0 ] || as_root=(fakeroot --)

mkdir -p "$out"
scratch=$(realpath "$(mktemp -d -p "$out")")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

# Identities follow from the package and the board, times from the commit.
SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct)
export SOURCE_DATE_EPOCH E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C.UTF-8
identity() { echo "$version $board $1" | sha256sum | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-4\3-8\4-\5/'; }
root=$(identity root) card=$(identity card) card=${card:0:8} card=${card^^}

cat >"$scratch/fstab" <<END
UUID=$root / ext4 errors=remount-ro,x-systemd.growfs 0 1
UUID=${card:0:4}-${card:4} /boot/firmware vfat umask=0077,nosuid,nodev,noexec,nofail,x-systemd.device-timeout=10s,x-systemd.before=edged-import.service 0 2
END
# The kernel before the last one can be chosen where there is a keyboard.
cat >"$scratch/grub.cfg" <<END
search --no-floppy --fs-uuid --set=root $root
set timeout=1
set options="root=UUID=$root ro fsck.repair=yes panic=10 console=$serial,115200 console=tty0"
menuentry "edged" { linux /vmlinuz \$options
 initrd /initrd.img }
menuentry "edged, with the kernel before" { linux /vmlinuz.old \$options
 initrd /initrd.img.old }
END
# What a disk may hang on, in a PC, an ARM server or a virtual machine, in place of every driver there is.
printf '%s\n' nvme ahci ata_piix sd_mod vmd usb_storage uas xhci_pci ehci_pci sdhci_pci sdhci_acpi mmc_block \
    virtio_pci virtio_mmio virtio_blk virtio_scsi ext4 >"$scratch/modules"
packages=systemd-sysv,systemd-repart,systemd-timesyncd,udev,dbus,kmod,apt,tzdata,ca-certificates,iproute2,procps,less,e2fsprogs
packages+=,dosfstools,initramfs-tools,zstd,linux-image-$arch,network-manager,wpasupplicant,wireless-regdb,avahi-daemon,libnss-mdns
packages+=,openssh-server,alsa-utils,firmware-iwlwifi,firmware-realtek$microcode

# The boot loader comes out of Debian's signed packages, for Secure Boot; the system itself needs nothing of them.
cat >"$scratch/customize" <<'END'
set -eu
cp "$PACKAGE" "$1/tmp/edged.deb"
chroot "$1" apt-get install -y --no-install-recommends /tmp/edged.deb
rm "$1/tmp/edged.deb"
chroot "$1" sh -c "cd /tmp && apt-get download shim-signed grub-efi-$ARCH-signed"
for package in "$1"/tmp/*.deb; do
    dpkg-deb -x "$package" "$SCRATCH/loader"
    rm "$package"
done
cp -r --no-preserve=mode "$HERE/../overlay/." "$HERE/overlay/." "$1/"
cp "$SCRATCH/fstab" "$1/etc/fstab"
mkdir -p "$1/boot/firmware"
echo edged >"$1/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$1/etc/hosts"
: >"$1/etc/machine-id"
rm -f "$1"/etc/ssh/ssh_host_* "$1/var/lib/dbus/machine-id" "$1/etc/resolv.conf" "$1/var/lib/systemd/random-seed"
if grep -E '^[^:]+:([^*!:]|:)' "$1/etc/shadow"; then exit 1; fi
END
export PACKAGE=$package HERE=$here SCRATCH=$scratch ARCH=$arch
echo "image: $board: Debian $suite from $mirror (minutes)"
mmdebstrap --quiet --variant=minbase --architectures=$arch --components=main,non-free-firmware --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; echo MODULES=list >"$1/etc/initramfs-tools/conf.d/edged"' \
    --essential-hook='install -D -m 644 "$SCRATCH/modules" "$1/usr/share/initramfs-tools/modules.d/edged"' \
    --customize-hook='sh "$SCRATCH/customize" "$1" >"$SCRATCH/log" 2>&1' \
    $suite "$scratch/root.tar" "$mirror" || stop "the system was not made; $(tail -n 1 "$scratch/log" 2>/dev/null)"

echo "image: $board: file systems"
cd "$scratch"
"${as_root[@]}" sh -euc '
    mkdir root
    tar -C root --numeric-owner -xpf root.tar
    mke2fs -q -t ext4 -d root -U "$0" -E hash_seed="$0" -L edged-root root.img $(($(du -sm root | cut -f1) * 5 / 4 + 200))M >/dev/null
    rm -r root root.tar' "$root" || stop "the root file system was not made"
mkfs.vfat --invariant -F 32 -s 1 -n EFI -C esp.img $((40 << 10)) >/dev/null
mkfs.vfat --invariant -n EDGED-CARD -i "$card" -C card.img $((64 << 10)) >/dev/null
mmd -i esp.img ::EFI ::EFI/BOOT ::EFI/debian
mcopy -i esp.img "loader/usr/lib/shim/shim$efi.efi.signed" "::EFI/BOOT/BOOT${efi^^}.EFI"
mcopy -i esp.img loader/usr/lib/grub/*-efi-signed/grub$efi.efi.signed "::EFI/BOOT/grub$efi.efi"
mcopy -i esp.img grub.cfg ::EFI/debian/grub.cfg
mcopy -i card.img "$here/../../../config/stick/edged.toml" ::edged.toml.example

# Three partitions: the loader's, the one that every laptop shows, and the system's, which grows with the disk.
end=$((105 + $(stat -c %s root.img) / 2**20))
truncate -s $((end + 1))M edged.img
sfdisk -q edged.img <<END
label: gpt
label-id: $(identity disk)
start=1MiB, size=40MiB, type=uefi, uuid=$(identity p1), name=efi
start=41MiB, size=64MiB, type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7, uuid=$(identity p2), name=edged-card
start=105MiB, size=$((end - 105))MiB, type=$root_type, uuid=$(identity p3), name=edged-root
END
dd if=esp.img of=edged.img bs=1M seek=1 conv=notrunc,sparse status=none
dd if=card.img of=edged.img bs=1M seek=41 conv=notrunc,sparse status=none
dd if=root.img of=edged.img bs=1M seek=105 conv=notrunc,sparse status=none
rm esp.img card.img root.img

echo "image: $board: compressed"
name=edged-$board.img
mv edged.img $name
bmaptool -q create -o $name.bmap $name
xz -T0 -"${XZ_LEVEL:-6}" $name
sha256sum $name.xz >$name.xz.sha256
cd - >/dev/null
mv "$scratch/$name.xz" "$scratch/$name.bmap" "$scratch/$name.xz.sha256" "$out/"
echo "$out/$name.xz: $(($(stat -c %s "$out/$name.xz") / 1000000)) MB, $end MiB unpacked"
