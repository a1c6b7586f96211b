#!/bin/sh
# The test programs and fuzz targets that use public functions of the core only: compiled with TUNOFFLOAD_IMPLEMENTATION_DONE they can
# share one object of the implementation, which is most of the work of compiling them. From the repository's root.
grep -LE 'tuoi_|TUNOFFLOAD_TUN|fake_tun|plain_shape' tests/*/test_*.c fuzz/fuzz_*.c
