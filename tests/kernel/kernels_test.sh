#!/usr/bin/env bash
# The TUN backend on other kernels. Usage: tests/kernel/kernels_test.sh BUILD_DIR (from the repository's root; root or not).
# Boots Debian's 6.1, 6.12 and newest kernels in qemu, each with an initramfs that holds a static test program as init and little
# else, and runs the same program on the kernel of this machine (that needs root). Asserted by tests/kernel/vm_init.c: 6.1 has no USO and
# loses nothing for it, the others have it. Some other tests of tests/ run there, too.
# The kernels are downloaded from Debian's archive, once, and stay in BUILD_DIR/kernels. Emulated on purpose: a minute per
# kernel, and no need for /dev/kvm, which may be there without working.
# Last line "N passed, N failed, N skipped". Under CI=true what could not run is a failure, and a missing qemu is installed.
set -u
if [ $# -ne 1 ]; then echo "usage: $0 BUILD_DIR" >&2; exit 2; fi
mkdir -p "$1/kernels" || exit 2
build=$(cd "$1" && pwd)
cc=${CC:-cc}
seconds=300 # for one kernel; an idle machine needs 50, a busy one 150
# The mirror that this machine uses, or DEBIAN_MIRROR.
mirror=${DEBIAN_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null | sed 's/#.*//' |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
. tests/lib/counts.sh

# name, suite that has it, pattern of its package, has USO. The newest is whatever the suite's newest is.
kernels='6.1    bookworm linux-image-6\.1\.[0-9.-]+-cloud-amd64               0
         6.12   trixie   linux-image-6\.12\.[0-9.]+\+deb[0-9.]+-cloud-amd64   1
         newest sid      linux-image-[0-9]+\.[0-9.]+\+deb[0-9.]+-cloud-amd64  1'

# PROGRAM or PROGRAM:TEST of tests/ that run on these kernels as well, and on which: what needs nothing but TUN, no USO, and the tools
# below.
others='test_kernel:split_as_the_kernel_splits        6.1 6.12 newest
        test_kernel:a_router_sees_no_difference       6.1 6.12 newest
        test_kernel:tcp_connects_through              6.1 6.12 newest
        test_kernel:superpackets_are_forwarded_to_us  6.1 6.12 newest
        test_vnet_kernel:routed_tun                   6.1 6.12 newest
        test_tun_loop:push                            6.1 6.12 newest
        test_tun_loop:next                            6.1 6.12 newest
        test_tun_loop:held                            6.1 6.12 newest
        test_tun_places                               6.1 6.12 newest
        test_tun_environments                         6.1 6.12 newest
        test_tunnel_loops:level_triggered_poll        UDP_ON
        test_tunnel_loops:edge_triggered_epoll        UDP_ON
        test_tunnel_loops:two_threads                 UDP_ON
        test_tun_vxlan                                newest
        test_tun_vxlan_write                          newest
        test_udp                                      UDP_ON
        test_udp_net                                  UDP_ON'
others=${others//UDP_ON/${UDP_ON:-6.1 6.12 newest}} # UDP_ON="names": these on fewer kernels
# What they find there: tools of this machine with their libraries, and modules.
tools='sh ip tc ethtool'
modules='tun veth sch_tbf xfrm_algo xfrm_user ah4 ah6' # in the order of vm_init.c
# In the order in which they need one another; a kernel may have some built in, or not at all.
more_modules='llc stp mrp garp 8021q sch_ingress cls_u32 act_mirred udp_tunnel ip6_udp_tunnel vxlan geneve'


# ---------------------------------------------------------------------------------------------------------------- kernels

# fetch NAME SUITE PATTERN: kernels/NAME/vmlinuz, the modules and release. The system's own package lists are not touched.
fetch() {
    local dir=$build/kernels/$1 work version package packages=() deb name wanted=('*/vmlinuz*') missing=''
    for name in $modules $more_modules; do wanted+=("*/$name.ko*"); done
    for name in $modules vxlan; do [ -s "$dir/$name.ko" ] || missing=1; done
    [ -s "$dir/vmlinuz" ] && [ -z "$missing" ] && return 0
    for deb in apt-get dpkg-deb tar xz; do
        if ! command -v $deb > /dev/null; then why="no $deb to get it with"; return 1; fi
    done
    if [ -z "$mirror" ]; then why="no Debian mirror in the sources of apt, and no DEBIAN_MIRROR"; return 1; fi
    if [ ! -r $keyring ]; then why="no $keyring to check it with"; return 1; fi
    rm -rf "$dir"; work=$dir/work
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
    echo "deb [arch=amd64 signed-by=$keyring] $mirror $2 main" > "$work/sources.list"
    local apt=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
               -o "Dir::Cache=$work/cache" -o APT::Sandbox::User= -o APT::Update::Error-Mode=any -o APT::Architecture=amd64
               -o Acquire::Languages=none)
    why="cannot be downloaded from $mirror"
    apt-get "${apt[@]}" update > "$work/apt.log" 2>&1 || { cat "$work/apt.log"; return 1; }
    package=$(apt-cache "${apt[@]}" pkgnames linux-image- | grep -Ex "$3" | sort -V | tail -n 1)
    if [ -z "$package" ]; then why="suite $2 has no such kernel"; return 1; fi
    version=${package#linux-image-}
    for deb in image binary modules; do # newer packages have image and modules in one each
        package=linux-$deb-$version
        if apt-cache "${apt[@]}" pkgnames "$package" | grep -qFx "$package"; then packages+=("$package"); fi
    done
    (cd "$work" && apt-get "${apt[@]}" download "${packages[@]}") >> "$work/apt.log" 2>&1 || { cat "$work/apt.log"; return 1; }
    for deb in "$work"/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" --wildcards "${wanted[@]}" 2> /dev/null
    done
    why="$package: no kernel, or not all of the modules $modules in it"
    unpack "$work/root" "$dir" || return 1
    echo "$version" > "$dir/release"
    rm -rf "$work"
}

# unpack FROM TO: kernel and modules, these without their compression (which the initramfs could not undo).
unpack() {
    local kernel name module
    kernel=$(find "$1" -name 'vmlinuz*' -type f | head -n 1)
    for name in $modules $more_modules; do
        module=$(find "$1" -name "$name.ko*" | head -n 1)
        case $module in
            '') case " $modules " in *" $name "*) return 1 ;; esac; continue ;;
            *.xz) xz -dc "$module" ;;
            *.zst) zstd -qdc "$module" ;;
            *) cat "$module" ;;
        esac > "$2/$name.ko" || return 1
    done
    [ -n "$kernel" ] && mv "$kernel" "$2/vmlinuz"
}

# -------------------------------------------------------------------------------------------------------------- initramfs

# A "newc" archive as the kernel wants it (its Documentation/driver-api/early-userspace/buffer-format.rst). cpio_entry NAME MODE
# SIZE is a header, cpio_file NAME FILE a whole regular file that can be executed, pad LENGTH fills up to a multiple of 4.
cpio_entry() {
    printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X' \
        $((inode += 1)) "$2" 0 0 1 0 "$3" 0 0 0 0 $((${#1} + 1)) 0
    printf '%s\0' "$1"
    pad $((110 + ${#1} + 1))
}
pad() { head -c $(((4 - $1 % 4) % 4)) /dev/zero; }
cpio_file() {
    local size; size=$(stat -L -c %s "$2") || return 1
    cpio_entry "$1" $((0100755)) "$size"
    cat "$2"; pad "$size"
}

# files_of_tools: lines "path in the initramfs, file": the tools, and what ldd says they are linked with.
files_of_tools() {
    local tool
    for tool in $tools; do
        tool=$(command -v "$tool")
        echo "bin/${tool##*/} $tool"
        ldd "$tool" | sed -n 's|.* => /\(.*\) (.*|\1 /\1|p; s|^[[:space:]]*/\(lib.*\) (.*|\1 /\1|p'
    done | sort -u
}

# initramfs MODULES_DIR PROGRAM...
initramfs() {
    local inode=0 directory program name
    cpio_file init "$build/vm_init" || return 1
    for name in $modules $more_modules; do
        [ ! -s "$1/$name.ko" ] || cpio_file "$name.ko" "$1/$name.ko" || return 1
    done
    shift
    for program in "$@"; do cpio_file "$program" "$build/$program" || return 1; done
    if has_tools; then
        files_of_tools > "$build/tools"
        while read -r directory; do cpio_entry "$directory" $((0040755)) 0; done < <(
            sed 's| .*||' "$build/tools" | awk -F/ '{ at = ""; for (i = 1; i < NF; i++) { at = at (i > 1 ? "/" : "") $i; print at } }' | sort -u)
        while read -r name program; do cpio_file "$name" "$program" || return 1; done < "$build/tools"
    fi
    cpio_entry 'TRAILER!!!' 0 0
}

# ------------------------------------------------------------------------------------------------------------------- runs

# judge NAME LOG PROGRAMS: adds the summaries of all programs in the log; one that is missing is a failure.
judge() {
    local name=$1 log=$2 summaries=0 before=$failed ok bad not
    sed -n "s/^@@KERNEL /$name: kernel /p; s/^@@OFFLOADS /$name: offloads: /p; s/^@@PROBE /$name: probe: /p" "$log"
    grep '^TCP superpackets with IPv6' "$log" | sort -u | sed "s/^/$name: /"
    while read -r ok bad not; do
        echo "$name: $(counts_line "$ok" "$bad" "$not")"
        summaries=$((summaries + 1))
        if [ "${CI:-}" = true ]; then add "$ok" $((bad + not)) 0; else add "$ok" "$bad" "$not"; fi
    done < <(all_counts_of "$log")
    grep '^SKIP' "$log"
    if [ $summaries -ne "$3" ]; then tail -n 25 "$log"; fail "$name: $summaries summaries instead of $3"; fi
    [ $failed -eq "$before" ] || grep -E '^FAIL|:[0-9]+:' "$log" | head -n 40
}

# boot NAME HAS_USO: in a machine without disk and network.
boot() {
    local name=$1 dir=$build/kernels/$1 log=$build/$1.log status started=$SECONDS release tests
    tests=$(awk -v name="$1" '{ for (i = 2; i <= NF; i++) if ($i == name) printf " /%s", $1 }' <<< "$others")
    # shellcheck disable=SC2086
    initramfs "$dir" $programs > "$dir/initramfs" || { fail "$name: initramfs"; return; }
    timeout "$seconds" qemu-system-x86_64 -accel tcg -cpu max -M pc -m 256 -smp 1 -no-reboot -kernel "$dir/vmlinuz" \
        -initrd "$dir/initramfs" -display none -serial stdio -monitor none -nic none \
        -append "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable -- $2$tests" \
        < /dev/null > "$log.raw" 2> "$log.qemu"
    status=$?
    tr -d '\r' < "$log.raw" > "$log"
    judge "$name" "$log" $((1 + $(wc -w <<< "$tests")))
    release=$(sed -n 's/^@@KERNEL \([^ ]*\) .*/\1/p' "$log")
    if [ $status -ne 0 ] || ! grep -q '^@@END$' "$log"; then
        tail -n 5 "$log.qemu"; fail "$name: the machine ended with status $status"
    elif [ "$release" != "$(cat "$dir/release")" ]; then
        fail "$name: runs $release instead of $(cat "$dir/release")"
    else
        ok "$name: runs $release"
    fi
    echo "$name: $((SECONDS - started)) s"
}

# The same on this machine, whose kernel has USO from 6.2 on.
on_host() {
    local log=$build/host.log has_uso=1
    [ "$(printf '6.2\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.2 ] || has_uso=0
    "$build/vm_init" "$has_uso" > "$log" 2>&1
    judge host "$log" 1
}

has_qemu() { command -v qemu-system-x86_64 > /dev/null; }
has_tools() { # shellcheck disable=SC2086
    [ "$(command -v $tools | wc -l)" = "$(wc -w <<< "$tools")" ]
}
if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && ! has_qemu; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends qemu-system-x86 > "$build/install.log" 2>&1
    has_qemu || tail -n 5 "$build/install.log"
fi

programs=$(awk '{ sub(/:.*/, "", $1); print $1 }' <<< "$others" | sort -u)
static=("$cc" -O2 -g -static -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-align -Wundef -I. -Itests/lib)
if [ "$(uname -m)" != x86_64 ]; then
    skip kernels "the kernels are for x86_64"
elif ! "${static[@]}" -o "$build/vm_init" tests/kernel/vm_init.c > "$build/compile.log" 2>&1; then
    head -n 20 "$build/compile.log"; fail "tests/kernel/vm_init.c: does not build statically with $cc"
else
    for program in $programs; do
        "${static[@]}" -o "$build/$program" "$(ls tests/*/"$program.c")" 2>> "$build/compile.log" || fail "$program: does not build"
    done
    [ ! -s "$build/compile.log" ] || { head -n 20 "$build/compile.log"; fail "warnings of $cc"; }
    on_host
    while read -r name suite pattern has_uso; do
        why=
        if ! has_qemu; then
            skip "$name" "no qemu-system-x86_64 (Debian: qemu-system-x86)"
        elif ! fetch "$name" "$suite" "$pattern"; then
            skip "$name" "$why"
        else
            boot "$name" "$has_uso"
        fi
    done <<< "$kernels"
fi

finish
