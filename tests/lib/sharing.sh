#!/bin/sh
# The test programs and fuzz targets that use public functions and tests/lib/inside.h only: compiled with TUNOFFLOAD_IMPLEMENTATION_DONE
# they can share one object of the implementation (tests/lib/inside.c), which is most of the work of compiling them. From the repository's
# root. Without an argument those of the core;
# `sharing.sh tun`: those that want the TUN device or the UDP socket, and put nothing of their own in the place of system calls.
case ${1:-} in
    tun) grep -lE 'define TUNOFFLOAD_(TUN|UDP)' tests/*/test_*.c | xargs grep -LE 'tuoi_|tun_pair.h|tun_calls.h|define (malloc|ioctl)' ;;
    *) grep -LE 'tuoi_|TUNOFFLOAD_(TUN|UDP)|fake_tun' tests/*/test_*.c fuzz/fuzz_*.c ;;
esac
