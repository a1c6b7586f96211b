/* harness.c - a start for a fuzz target of your own: your use of the header, the parts that you call, in your order, with your switches.
   This one hands any frame to a splitter, as a program does that reads from a TUN device. Put your code in the place of send_packet.

       clang -g -O1 -fsanitize=fuzzer,address,undefined -I. -o harness fuzz/harness.c && ./harness -dict=fuzz/tun.dict corpus
       cc -g -I. -o harness fuzz/harness.c fuzz/replay.c && ./harness fuzz/seeds/vnet_header.seeds        (without libFuzzer)

   data is a heap block of exactly its size: do not copy it into a larger buffer of your own, or reads beyond it go unseen. A read of a
   vnet header and nothing behind it is a packet of no bytes: one segment of length 0. */
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Yours. */
static void send_packet(const tuo_segment *segment) { (void)segment; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tuo_vnet_hdr vnet;
    tuo_gso gso;
    tuo_segment segment;

    if (tuo_vnet_decode(data, size, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet) == TUO_OK &&
        tuo_gso_init(&gso, data + TUO_VNET_LEN, size - TUO_VNET_LEN, &vnet, 0) == TUO_OK)
        while (tuo_gso_next(&gso, 0, &segment) == TUO_OK)
            send_packet(&segment);
    return 0;
}
