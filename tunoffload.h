/* SPDX-License-Identifier: MIT-0 OR Unlicense

   tunoffload.h - v0.2.0 - GRO and GSO for TUN devices in one C header. Licence texts and history
   are at the end of this file.

   Coalesces TCP and UDP packets into superpackets for a TUN device, and splits superpackets that a
   TUN device hands out. IPv4 and IPv6, checksums, virtio-net headers, bounded memory, no
   allocation, no dependency.

   Do this in exactly one C or C++ file:

       #define TUNOFFLOAD_IMPLEMENTATION
       #include "tunoffload.h"

   All other files only include the header. To use the Linux parts, define TUNOFFLOAD_TUN or
   TUNOFFLOAD_UDP before the #include in every file.

   Contents (search for the tag):

       >>manual      three ways to use this header, promises, limits
       >>config      compile-time options and constants
       >>results     tuo_result and tuo_verdict
       >>types       structs that cross the interface
       >>api         functions
       >>platform    compiler and byte order                         (implementation from here on)
       >>bytes       loads and stores
       >>wire        offsets in the headers
       >>checksum    the Internet checksum
       >>parse       bytes to tuo_pkt_info; the only place that validates lengths
       >>verify      checksums of packets
       >>vnet        virtio-net header: decode, encode, check
       >>flow        flow keys and the flow table
       >>account     finishing a superpacket: lengths, checksums, vnet header
       >>buffers     tuo_buf as one kind of buffer among those of the callbacks
       >>gro-rules   decides whether a packet may join an item; writes nothing
       >>gro         records, items, push and drain
       >>gso         plan and write segments
       >>tx          capabilities of a device, offloads to match them, bursts
       >>udp-plan    which datagrams leave in one message
       >>names       texts of results and verdicts, version, sizes
       >>linux       parts that TUN and UDP share
       >>linux-tun   a TUN device: define TUNOFFLOAD_TUN
       >>linux-udp   a UDP socket: define TUNOFFLOAD_UDP
       >>history     changes of each version
       >>license     MIT-0 / Unlicense
*/
#ifndef TUNOFFLOAD_H
#define TUNOFFLOAD_H

/* ---------------------------------------------------------------------------------------- >>manual

   WHICH WAY IS YOURS

   Choose one of three ways. Each has a page below, with code that is compiled by the tests.

   1. The verbs: five functions (next, push, flush, held, pending) of a TUN device or a UDP socket.
      This header opens both, reads, writes, merges and splits, and repeats refused writes. Choose
      the verbs for a VPN or a tunnel. Linux only.

          while (tuo_tun_next(tun, &packet) == TUO_OK) ...   // packets of wire size
          tuo_tun_push(tun, bytes, len);                     // one packet, copied
          tuo_tun_flush(tun);                                // before the loop sleeps

   2. The core on your own descriptor. Your program opens the TUN device and calls read and writev.
      Choose the core if the I/O of your program is fixed already (io_uring, an event library).

          tuo_gro_push(gro, bytes, len, user, 0);            // packets in
          while (tuo_gro_next(gro, &superpacket) == TUO_OK) ...
          tuo_gso_init(&gso, bytes, len, &vnet, 0);          // one superpacket in
          while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) ...

   3. The core in your own buffers or device. Five callbacks describe your buffers (mbufs, chains).
      A tuo_caps describes your device (a NIC, a virtual machine, a stack in user space).

   TUO_OK is 0. Positive results are no errors: TUO_AGAIN (nothing now), TUO_MORE (call again),
   TUO_DONE (the end). Negative results are errors, which tuo_result_text describes. The contract of
   each function is above its declaration, below >>api.

   GLOSSARY

       segment        a packet as it is on the wire, small enough for the link
       superpacket    one IP packet that stands for several segments; its vnet header has the size
                      of these segments
       coalesce, GRO  make superpackets of segments (generic receive offload)
       split, GSO     make segments of superpackets (generic segmentation offload); TSO for TCP, USO
                      for UDP
       vnet header    struct virtio_net_hdr in front of a packet on a TUN device with IFF_VNET_HDR
       gso_size       payload bytes of each segment of a superpacket but the last; for TCP the MSS
                      without options
       pseudo-header sum
                      the part of a TCP or UDP checksum that covers addresses, protocol and length
       partial checksum (NEEDS_CSUM)
                      a checksum field that holds only the pseudo-header sum
       flow           packets of one connection in one direction: the same IP version, addresses,
                      protocol, ports, bytes of Ethernet header and tags
       item           packets held by GRO that will leave as one packet
       lower, upper   of two items or segments of a TCP flow: the one with the lower or the higher
                      sequence numbers
       candidate      a packet that could merge with a suitable neighbour
       drain          take all held packets out of GRO (tuo_gro_next until TUO_DONE)
       verdict        the decision of GRO about a packet, and the rule behind this decision
       train          UDP datagrams that are sent or received as one message

   WAY 1: THE VERBS

   Before every #include of this header, define TUNOFFLOAD_TUN for a TUN device and TUNOFFLOAD_UDP
   for a UDP socket. Device and socket have the same verbs:

       next      the next packet or datagram; reads only when nothing is left of the last read
       push      takes a copy of one packet. For UDP also reserve, then commit: built in place
       flush     writes the pushed packets, coalesced. Call flush before the loop sleeps
       held      1: flush returned TUO_AGAIN. Poll for POLLOUT as well
       pending   1: the loop over next was left early, and packets are left that poll does not see

   A tunnel. One packet is one datagram:

       // --- example manual_tunnel.c
       #define TUNOFFLOAD_TUN
       #define TUNOFFLOAD_UDP
       #include "tunoffload.h"
       #include <errno.h>
       #include <poll.h>
       #include <stdio.h>
       #include <string.h>

       enum { CIPHER_LEN = 0, OVERHEAD = 40 + 8 + CIPHER_LEN }; // outer IPv6 and UDP headers

       struct tunnel { tuo_tun *tun; tuo_udp *udp; tuo_udp_peer peer; unsigned long lost; };

       // here: address and port of the socket (struct sockaddr_in or sockaddr_in6). 1: open.
       int open_tunnel(struct tunnel *t, const struct sockaddr *here) {
           tuo_tun_failure why;
           tuo_tun_desc desc = { .name = "tun0", .address4 = "10.9.0.1/24", .up = 1,
                                 .mtu = 1500 - OVERHEAD, .failure = &why };
           int error = 0;
           tuo_result result = tuo_udp_open(&t->udp, here, NULL, &error);
           if (result != TUO_OK) {
               fprintf(stderr, "UDP: %s\n", error ? strerror(error) : tuo_result_text(result));
               return 0;
           }
           if (tuo_tun_open(&t->tun, &desc, NULL) == TUO_OK) return 1;
           fprintf(stderr, "TUN: %s\n", why.text);
           tuo_udp_close(t->udp);
           return 0;
       }

       tuo_result from_tun(struct tunnel *t) {
           tuo_buf packet;
           tuo_result result;
           while ((result = tuo_tun_next(t->tun, &packet)) == TUO_OK) {
               void *datagram = tuo_udp_reserve(t->udp, packet.len + CIPHER_LEN);
               if (!datagram) { t->lost++; continue; } // the socket is full
               memcpy(datagram, packet.data, packet.len); // CIPHER: encrypt packet into datagram
               tuo_udp_commit(t->udp, &t->peer, packet.len + CIPHER_LEN, NULL);
           }
           return result;
       }

       tuo_result from_udp(struct tunnel *t) {
           tuo_udp_datagram datagram;
           tuo_result result;
           while ((result = tuo_udp_next(t->udp, &datagram)) == TUO_OK) {
               // CIPHER: decrypt datagram in place; if that fails: lost++, continue
               if (!tuo_udp_same_addr(&t->peer, datagram.peer) ||
                   tuo_tun_push(t->tun, datagram.data, datagram.len - CIPHER_LEN) != TUO_OK)
                   t->lost++;
           }
           return result;
       }

       tuo_result flush(struct tunnel *t) {
           tuo_udp_lost datagram;
           tuo_result result = tuo_tun_flush(t->tun);
           if (result < 0 && result != TUO_E_DOWN) return result; // down: dropped and counted
           result = tuo_udp_flush(t->udp);
           for (; tuo_udp_next_lost(t->udp, &datagram) == TUO_OK; t->lost++)
               if (datagram.mtu > OVERHEAD && result >= 0) // the path got narrower
                   result = tuo_tun_set_mtu(t->tun, datagram.mtu - OVERHEAD);
           return result;
       }

       tuo_result run(struct tunnel *t) { // t->peer.addr: where the datagrams go
           tuo_result result = TUO_OK;
           while (result >= 0) { // while one side is full, the other is not read
               int tun_held = tuo_tun_held(t->tun), udp_held = tuo_udp_held(t->udp);
               int tun_events = (udp_held ? 0 : POLLIN) | (tun_held ? POLLOUT : 0);
               int udp_events = (tun_held ? 0 : POLLIN) | (udp_held ? POLLOUT : 0);
               struct pollfd fds[2] = { { tuo_tun_fd(t->tun), (short)tun_events, 0 },
                                        { tuo_udp_fd(t->udp), (short)udp_events, 0 } };
               if (poll(fds, 2, -1) < 0 && errno != EINTR) return TUO_E_SYSTEM;
               if (fds[0].revents & ~POLLOUT) result = from_tun(t);
               if (result >= 0 && (fds[1].revents & ~POLLOUT)) result = from_udp(t);
               if (result >= 0) result = flush(t);
           }
           return result; // TUO_E_GONE: the device was deleted
       }
       // --- end

   Opening: tuo_tun_open makes the device and negotiates the offloads of this kernel. desc.failure
   describes a failure in words. A device that has queues already, of any process, is refused with
   EBUSY. desc.share, with desc.multi_queue, joins this device instead. Settings already in effect
   need no right and no netlink, so an unprivileged daemon can open a device prepared for its user.
   desc.no_netlink: no AF_NETLINK socket is made. tuo_tun_adopt takes a descriptor that another
   process opened; desc.adopt_negotiate also sets its vnet header and offloads.

   Rounds: next ends a round with TUO_MORE after 128 packets or 256 KiB, so that the other side gets
   its turn. A level-triggered poll then returns at once. With edge-triggered epoll, keep a flag
   "perhaps not empty" for each descriptor. Each flag starts set. An event sets the flag (EPOLLIN,
   EPOLLERR, EPOLLHUP); TUO_AGAIN of next clears the flag. While one side is held, do not read the
   other side, and ignore the flag of the other side. Sleep while no other flag is set. EPOLLOUT may
   stay registered.

   Bursts: one read can give 45 packets, so every queue behind the device must hold 64 KiB or more.
   A loop with a full queue may leave early. The packets then wait inside (pending). Do not poll
   that side for POLLIN until the queue has room.

   Refusals: a superpacket that the kernel refuses (EINVAL, EIO, EMSGSIZE) or has no memory for
   (ENOBUFS, ENOMEM) is resent at once as its original packets. EIO can mean a refused superpacket
   or an interface that is down. If a single packet also fails with EIO, the interface is down.
   After desc.refusal_limit refusals in a row, that protocol is no longer coalesced for
   desc.retry_after packets.

   UDP: datagrams that fit together leave as one train (UDP_SEGMENT), to any number of peers. One
   read returns all datagrams that the kernel merged (UDP_GRO). A refused train is resent as single
   datagrams. A refusal for one peer never delays another peer. datagram.peer is the sender, and the
   peer for an answer.

   MTU: the MTU of the TUN device is the path MTU less 28 bytes (IPv4 outside) or 48 (IPv6), and
   less the bytes that a cipher adds. tuo_udp_mtu returns the path MTU at the start. Later
   tuo_udp_next_lost reports EMSGSIZE and the new path MTU; then call tuo_tun_set_mtu.

   Two threads: one receiving thread and one sending thread may use a queue or a socket at the same
   time. Queues are independent of each other (tuo_tun_group). Functions that change the device
   (tuo_tun_set_*, _add_address, _probe, _configure) belong to its sending thread. tuo_tun_inject
   writes one packet from any thread. The thread of a side may read the counters of this side. Any
   thread may read them after the thread of this side has ended.

       // --- example manual_threads.c
       #define TUNOFFLOAD_TUN
       #define TUNOFFLOAD_UDP
       #include "tunoffload.h"

       struct tunnel { tuo_tun *tun; tuo_udp *udp; tuo_udp_peer peer; };

       // First thread: receives from the TUN device, sends UDP. The timeout is for timers.
       void *outward(void *argument) {
           struct tunnel *t = (struct tunnel *)argument;
           tuo_result result = TUO_OK;
           while (result >= 0) { // ends with TUO_E_GONE, or TUO_E_WOKEN by tuo_tun_wake
               tuo_buf packet;
               while ((result = tuo_tun_next(t->tun, &packet)) == TUO_OK)
                   (void)tuo_udp_push(t->udp, &t->peer, packet.data, packet.len, NULL);
               (void)tuo_udp_flush(t->udp);
               if (result == TUO_AGAIN)
                   result = tuo_tun_wait(t->tun, 0, tuo_udp_held(t->udp) ? 1 : 1000);
           }
           return NULL;
       }

       // Second thread: receives UDP, sends to the TUN device.
       void *inward(void *argument) {
           struct tunnel *t = (struct tunnel *)argument;
           tuo_result result = TUO_OK;
           while (result >= 0) {
               tuo_udp_datagram datagram;
               while ((result = tuo_udp_next(t->udp, &datagram)) == TUO_OK)
                   if (tuo_udp_same_addr(&t->peer, datagram.peer))
                       (void)tuo_tun_push(t->tun, datagram.data, datagram.len);
               (void)tuo_tun_flush(t->tun);
               if (result == TUO_AGAIN)
                   result = tuo_udp_wait(t->udp, 0, tuo_tun_held(t->tun) ? 1 : 1000);
           }
           return NULL;
       }
       // --- end

   States of a queue, and the results of the verbs. An empty cell: the state does not change the
   result.

       state             next          push, reserve         flush             held   poll
       nothing to read   TUO_AGAIN                                                    no POLLIN
       device or socket                if its memory is      TUO_AGAIN         1      POLLOUT when
       full                            full: push TUO_AGAIN,                          there is room
                                       reserve NULL
       interface down    TUO_AGAIN     TUO_OK                TUO_E_DOWN, all   0      POLLOUT when
                                                             dropped                  it is up
       device deleted    TUO_E_GONE    TUO_OK, TUO_E_GONE    TUO_E_GONE, all   0      POLLERR
                                       if it has to write    dropped
       woken, blocking   TUO_E_WOKEN   if its memory is      TUO_E_WOKEN       1
                         if it waits   full: push TUO_AGAIN, if it waits
                                       reserve NULL

   A wake-up ends the waiting calls of both threads of a queue or socket: tuo_tun_wait,
   tuo_udp_wait, and in blocking mode next, push, reserve and flush. A signal handler ends the two
   wait functions only. The kernel takes an interface down before deleting the interface. So the
   last packets can count as dropped for either reason.

   Where packets are lost: tuo_tun_query_tx_stats and tuo_udp_query_tx_stats count packets that were
   pushed and not written, by reason. tuo_udp_next_lost names the last 64 lost datagrams. Packets
   that the kernel drops in front of a TUN device never reach this library. Their counter is
   /sys/class/net/NAME/statistics/tx_dropped. desc.tx_queue_len makes the queue of the device
   longer.

   WAY 2: THE CORE ON YOUR OWN DESCRIPTOR

   The core makes no system call and allocates nothing. Your program opens the device with
   IFF_VNET_HDR. TUNSETOFFLOAD is for reading: without this call, Linux never hands out
   superpackets. Writing superpackets needs no TUNSETOFFLOAD. A write while the interface is down
   fails with EIO.

       // --- example manual_core.c
       #include "tunoffload.h"
       #include <errno.h>
       #include <fcntl.h>
       #include <linux/if_tun.h>
       #include <net/if.h>
       #include <poll.h>
       #include <stdio.h>
       #include <stdlib.h>
       #include <sys/ioctl.h>
       #include <sys/random.h>
       #include <sys/uio.h>
       #include <unistd.h>

       int open_tun(const char *name) { // -1: errno says why
           const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
           const unsigned udp = 0x60; // TUN_F_USO4 | TUN_F_USO6: Linux 6.2
           const int vnet_hdr_len = TUO_VNET_LEN;
           struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
           int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC), error;
           if (tun < 0) return -1;
           snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
           if (ioctl(tun, TUNSETIFF, &request) == 0 &&
               ioctl(tun, TUNSETVNETHDRSZ, &vnet_hdr_len) == 0 &&
               (ioctl(tun, TUNSETOFFLOAD, tcp | udp) == 0 || ioctl(tun, TUNSETOFFLOAD, tcp) == 0))
               return tun;
           error = errno;
           close(tun);
           errno = error;
           return -1;
       }

       tuo_gro *make_gro(void **memory) { // later: free(*memory)
           tuo_gro_desc desc = { 0 };
           const size_t len = tuo_gro_memory_size(&desc); // 50 KiB
           tuo_gro *gro = NULL;
           if (getrandom(&desc.hash_seed, sizeof desc.hash_seed, 0) != sizeof desc.hash_seed ||
               !(*memory = malloc(len))) return NULL;
           return tuo_gro_init(&gro, *memory, len, &desc) == TUO_OK ? gro : NULL;
       }

       // Writes one packet or superpacket. 1: the kernel refused it.
       static size_t write_one(int tun, const tuo_iov *iov, size_t iov_count) {
           struct pollfd room = { .fd = tun, .events = POLLOUT };
           while (writev(tun, (const struct iovec *)iov, (int)iov_count) < 0) {
               if (errno == EAGAIN) (void)poll(&room, 1, 10); // full, if tun is non-blocking
               else if (errno != EINTR) return 1;
           }
           return 0;
       }

       // Writes a batch of any size. Checksums must be finished. Returns how many were refused.
       size_t write_batch(int tun, tuo_gro *gro, tuo_buf *packets, size_t count) {
           static const uint8_t no_offload[TUO_VNET_LEN];
           size_t next = 0, refused = 0;
           while (next < count) {
               tuo_superpacket sp;
               for (; next < count; next++) {
                   tuo_buf *p = &packets[next]; // NO_ROOM: drain, then push this packet again
                   if (tuo_gro_push(gro, p->data, p->len, p, 0) == TUO_V_NO_ROOM) break;
               }
               while (tuo_gro_next(gro, &sp) == TUO_OK) {
                   if (write_one(tun, sp.iov, sp.iov_count) == 0) continue;
                   for (size_t i = 0; i < sp.packet_count; i++) { // refused: its packets singly
                       const tuo_buf *p = (const tuo_buf *)sp.users[i];
                       const tuo_iov iov[2] = { { no_offload, 10 }, { p->data, p->len } };
                       refused += write_one(tun, iov, 2);
                   }
               }
           }
           return refused;
       }

       // Reads one packet or superpacket, sends its segments. simd: TUO_F_SIMD(tuo_simd_best())
       tuo_result read_one(int tun, unsigned simd, void (*send_packet)(const tuo_segment *)) {
           static uint8_t bytes[TUO_VNET_LEN + 65535], *const packet = bytes + TUO_VNET_LEN;
           const ssize_t len = read(tun, bytes, sizeof bytes);
           tuo_vnet_hdr vnet;
           tuo_gso gso;
           tuo_segment segment;
           tuo_result result;
           if (len < 0) return errno == EINTR || errno == EAGAIN ? TUO_AGAIN : TUO_E_SYSTEM;
           result = tuo_vnet_decode(bytes, (size_t)len, TUO_VNET_LEN, TUO_ORDER_NATIVE, &vnet);
           if (result == TUO_OK)
               result = tuo_gso_init(&gso, packet, (size_t)len - TUO_VNET_LEN, &vnet, simd);
           if (result != TUO_OK) return result; // vnet header and packet contradict each other
           while (tuo_gso_next(&gso, NULL, &segment) == TUO_OK) send_packet(&segment);
           return TUO_OK;
       }
       // --- end

   Writing: call write_batch with all packets that your program has, before the program waits again.
   A batch of one packet cannot merge. writev gathers vnet header, headers and payloads; no payload
   is copied. One system call for several superpackets (io_uring): see MEMORY.

   Reading: the bytes of a segment are in segment.iov, 1 to 3 pieces. They are good until the next
   tuo_gso_next and the next read. For one sendmmsg of many segments: tuo_gso_next_batch. Contiguous
   segments without a second buffer: tuo_gso_next_in_place.

   TAP devices: use IFF_TAP and set desc.ethernet. Add TUO_F_ETHERNET to the flags of tuo_gso_init,
   and 14 bytes and 4 for each tag to the size of the read buffer.

   WAY 3: THE CORE IN YOUR OWN BUFFERS OR DEVICE

   Your own buffers. Functions that write into your buffers take a tuo_buf_ops; NULL means tuo_buf.
   The callbacks may fail, and no packet is lost then (see each function). `offset` is headroom in
   front of the packet in each buffer, for vnet or tunnel headers; `offset` may be 0. tuo_gro_push
   and tuo_gro_next, which gather, need no headroom.

       // --- example manual_buffers.c
       #define TUNOFFLOAD_TUN
       #include "tunoffload.h"
       #include <string.h>

       enum { HEADROOM = 64, ROOM = HEADROOM + 9000, BATCH = 256 };

       struct packet { uint32_t len; uint8_t bytes[ROOM]; }; // len: headroom included

       uint8_t *packet_data(void *user, void *buf) {
           (void)user;
           return ((struct packet *)buf)->bytes;
       }

       size_t packet_len(void *user, const void *buf) {
           (void)user;
           return ((const struct packet *)buf)->len;
       }

       size_t packet_capacity(void *user, const void *buf) { (void)user, (void)buf; return ROOM; }

       int packet_resize(void *user, void *buf, size_t len) {
           (void)user;
           if (len > ROOM) return -1;
           ((struct packet *)buf)->len = (uint32_t)len;
           return 0;
       }

       int packet_append(void *user, void *buf, const uint8_t *bytes, size_t len) {
           struct packet *p = (struct packet *)buf;
           const size_t old_len = p->len;
           if (packet_resize(user, p, old_len + len) != 0) return -1;
           memcpy(p->bytes + old_len, bytes, len);
           return 0;
       }

       const tuo_buf_ops packet_ops = { NULL, packet_data, packet_len, packet_capacity,
                                        packet_resize, packet_append };

       // tun: opened with desc.blocking. bufs[0..BATCH): struct packet *.
       tuo_result reply(tuo_tun *tun, void **bufs, void (*change)(uint8_t *packet, size_t len)) {
           size_t count, taken;
           tuo_result result = tuo_tun_recv_batch(tun, &packet_ops, bufs, BATCH, HEADROOM, &count);
           if (result == TUO_E_NOSPACE) tuo_tun_recv_discard(tun); // longer than ROOM: the MTU rose
           else if (result < 0) return result;
           for (size_t i = 0; i < count; i++) {
               struct packet *p = (struct packet *)bufs[i];
               change(p->bytes + HEADROOM, p->len - HEADROOM);
           }
           return tuo_tun_send_batch(tun, &packet_ops, bufs, count, HEADROOM, &taken);
       }
       // --- end

   tuo_tun_send_batch copies no payload, and a blocking queue takes all buffers. TUO_E_DOWN: the
   interface is down; the packets are dropped and counted.

   The core takes the same callbacks. tuo_gro_batch coalesces a batch inside its buffers.
   tuo_gro_push_buf and tuo_gro_next_copy do the same packet by packet: the payloads are appended to
   the buffer of the first packet. tuo_gso_split fills buffers with segments, in one pass for copy
   and checksum, and resumes when buffers run out. UDP: tuo_udp_recv_batch, tuo_udp_send_batch.

   Your own device. A tuo_caps describes a device: the port of a NIC, a virtual machine, a stack, a
   TUN device (tuo_tun_caps). tuo_tx_init chooses the form that needs the least CPU work. The forms
   are, from least to most work: the whole packet, smaller superpackets, segments whose checksums
   the device finishes, finished segments. tuo_tx_next hands out the packets. The bytes on the wire
   are the same for each form (tuo_tx_init, Wire).

       // --- example manual_tx.c
       #include "tunoffload.h"

       // Checksums of TCP and UDP over IPv4, TSO over IPv4 up to 32 KiB, by DPDK's conventions.
       static const tuo_caps port = { .tx_csum_ip4 = 1, .tx_csum_tcp4 = 1, .tx_csum_udp4 = 1,
                                      .tso_sum_no_len = 1, .max_tcp4 = 32768, .mtu = 1500,
                                      .ethernet = 1 };

       // frame and vnet: from tuo_tun_recv (a TAP device), or from a stack and tuo_tso_prepare.
       tuo_result transmit(const void *frame, size_t len, const tuo_vnet_hdr *vnet,
                           void (*post)(const tuo_tx_packet *)) {
           tuo_tx tx;
           tuo_tx_packet packet;
           tuo_result result = tuo_tx_init(&tx, &port, frame, len, vnet, 0);
           if (result != TUO_OK) return result; // TUO_E_MTU: longer than the port sends
           // pieces; offloads to ask of the port; l2_len, l3_len, l4_len
           while (tuo_tx_next(&tx, 0, &packet) == TUO_OK) post(&packet);
           return TUO_OK;
       }
       // --- end

   tuo_tx_init takes contiguous packets. Pass the packets of a gathered tuo_superpacket (sp.users)
   one by one to a device that does not take the superpacket whole. tuo_tso_prepare gives large
   packets of a stack their metadata. Nothing longer than caps.mtu is handed out (TUO_E_MTU), and
   tuo_tx_packet.wire_len_max is the length on the wire. With caps.tx_vlan_insert the outermost
   VLAN tag moves from the bytes to tuo_tx_packet.vlan_tci. tuo_rx_hint turns the metadata of a
   received packet into the hint of tuo_gro_push. tuo_tx_queue keeps, in order, the packets that a
   device did not take. tuo_rx_queue hands out injected packets first.

   Virtual machines: a virtio 1.x guest expects num_buffers 1. Set desc.virtio_guest, and 12 or more
   for desc.vnet_hdr_len. A TUN device neither fills nor reads num_buffers.

   PROMISES

   - Coalesces TCP and UDP over IPv4 and IPv6. By default merges only segments that every Linux
     kernel since 6.1 would merge. Order repair is the one extension. LIMITS lists stricter rules.
   - Lossless: by default, splitting a superpacket reproduces the same bytes, except constant IPv4
     IDs under DF. These IDs leave as id, id+1, ... as from every kernel. RFC 6864 gives them no
     meaning. TUO_IP_ID_EXACT removes this exception. TUO_IP_ID_ANY_DF and TUO_IP_ID_ANY merge and
     renumber more. With trust_checksums, lossless holds only for right checksums. With
     merge_zero_csum4, UDP datagrams over IPv4 without a checksum leave with one.
   - Never marks a checksum good without having verified it, unless the caller declares the packets
     trusted. A packet with a wrong checksum is not merged, not repaired, and leaves unchanged.
     With merge_zero_csum4, a datagram without a checksum gets a valid one for the bytes that came.
   - Emits the packets of a flow in the order of their pushes, also if flow labels or extension
     headers change. A packet that can never merge closes its flow, so that no later packet
     overtakes it. Only order repair changes the order: a late TCP segment moves forward to its
     place in the byte stream.
   - Loses nothing: every packet that tuo_gro_push takes is emitted exactly once, alone or in a
     superpacket, unless tuo_gro_reset discards it. Every segment of a superpacket is handed out.
   - Bounded: memory is fixed at init, and work per packet has an upper limit for any traffic
     (tuo_gro_push, Cost).

   OUT OF SCOPE

   - No timer: held packets leave at the drain (tuo_gro_next, tuo_tun_flush). Drain at the end of
     each batch from your socket or device.
   - No IP fragmentation or reassembly. Legacy UFO is refused by name.
   - UDP datagrams without a checksum are not coalesced: splitting could not reproduce them. Around
     a tunnel they are. Over IPv4 desc.merge_zero_csum4 changes this. Over IPv6 a receiver drops
     such datagrams, but would take them if merged.
   - No system call in the core. TUNOFFLOAD_TUN and TUNOFFLOAD_UDP add system calls.
   - No encryption, no tunnel protocol. GRO looks into VXLAN and Geneve if asked to (UDP TUNNELS).

   COALESCING

   tuo_gro_push reads the headers of a packet. A packet that can never merge (a TCP segment without
   payload, a fragment, ...) is held, and leaves alone in its place. A candidate is looked up by its
   flow. The candidate joins an open item at its end (append) or front (prepend), or becomes the
   head of a new item. A checksum is verified only when a packet would otherwise merge. Then GRO
   verifies this packet, and the head of each item at most once. A packet without a matching
   neighbour is never summed.

   Fast path: if a packet is the next full segment of its flow, its headers are compared once, under
   a mask. Parser and lookup are left out. The outcome is the same.

   Order repair: a TCP flow can have several open items with gaps between them, in sequence order. A
   late segment takes its place in sequence order. The segment merges if it touches an open item. If
   the segment fills a gap, the two neighbours become one item when the merge rules let the upper
   item follow the lower item. If a flow has more than max_items_per_flow items, the oldest item is
   closed. A UDP flow has one item. disable_prepend and strict_kernel switch order repair off.

   tuo_gro_next drains in order of arrival. The position of an item is that of its first pushed
   packet. The items of one TCP flow fill their positions in sequence order. The headers of a
   superpacket are one new piece; the payloads are borrowed. A single packet leaves unchanged, with
   a zero vnet header. A single packet never gets a GSO type: with TCP options the kernel can drop
   such a packet silently (K 1.8).

   finish_checksum is for a receiver without a vnet header that takes TCP packets above the MTU. The
   checksum of a superpacket follows from those of its segments, so no payload is summed again.
   Linux takes such packets for its own sockets. It does not cut them for others, so a tuo_tun
   refuses the switch. examples/lwip_tun.c --coalesce hands them to lwIP.

   By copy (tuo_gro_batch, tuo_gro_push_buf): plain buffers (tuo_buf) are filled while checksums are
   verified, in one pass. If an item of several packets has joined a lower item, all payloads of
   both items are copied at the drain. So a payload is copied twice at most.

   Exclusions: disable_tcp4 to disable_udp6 switch protocols off. tcp_excluded_ports and
   udp_excluded_ports, each with its count, name ports whose packets never merge. A tuo_tun_desc has
   these members in desc.gro.

   SPLITTING

   tuo_gso_init checks the vnet header against the packet and plans. Then use one of:
       tuo_gso_next           headers in scratch memory, payload borrowed; input const
       tuo_gso_next_batch     the same for many segments, each with headers of its own
       tuo_gso_next_in_place  each segment contiguous inside the input buffer, which is consumed; no
                              copy, no second buffer
       tuo_gso_split          copies into your buffers, one pass for copy and checksum; stops and
                              resumes when buffers run out
   A packet that is no superpacket leaves as one segment, and a partial checksum is completed.
   Without a GSO type, csum_start may point anywhere in the packet, for instance to an inner TCP
   header. With a GSO type and NEEDS_CSUM, csum_start must be the TCP or UDP header. hdr_len of the
   vnet header is never used: Linux fills hdr_len with the length of the linear part of its buffer.

   UDP TUNNELS

   Reading. From Linux 6.17 on, a TUN or TAP device hands out a superpacket that is inside VXLAN or
   Geneve as one packet: one read instead of one per segment. Set desc.udp_tunnels of the backend.
   On your own descriptor set first TUNSETVNETHDRSZ 24, and then the TUNSETOFFLOAD bits
   TUO_TUN_UDP_TUNNEL and TUO_TUN_UDP_TUNNEL_CSUM. With the bits and a shorter header, each read
   loses a packet. tuo_gso_init, tuo_tx_init and the reading functions then split these
   superpackets. Each segment has the bytes that Linux would have sent: outer and inner lengths, IDs
   and checksums.

   The bytes between the outer UDP header and the inner IP header are copied, whatever they are. The
   headers are found by parsing. The outer checksum costs no pass over the payload. Refused by name:
   a tunnel type without such a tunnel in the packet (TUO_E_VNET_TUNNEL), and outer and inner
   headers of more than TUO_HEADER_MAX bytes (TUO_E_HEADER_TOO_LONG). Geneve options of up to 48
   bytes always fit, unless there are IPv4 options or IPv6 extension headers. With longer options
   leave desc.udp_tunnels off: the kernel then splits.

   tuo_vnet_check with TUO_F_WRITE refuses tunnel types, and tuo_tun_send_iov writes their segments.

   Writing. Set desc.udp_tunnels of the backend, and the destination ports of your tunnels in
   desc.gro: vxlan_ports (4789), geneve_ports (6081), each with its count. GRO then merges the TCP
   and UDP packets inside. A train of datagrams is one write, which the kernel unpacks or forwards
   whole (K 1.34 has times). Forwarding sends the datagrams that were merged, byte for byte. An
   outer checksum of 0 stays 0. Any other is verified, without a pass over the payload. A kernel
   without tunnel types gets other packets as without ports. Refused superpackets are sent singly,
   and after refusal_limit of them tunnels are off (tunnels_off).

   A TAP device takes tunnel types as they are specified. A TUN device wants an outer_th_offset that
   is 14 too much. Linux 6.18 and 7.2 then deliver and forward every datagram right, but no document
   says so. desc.tun_writes_tunnels switches it on. That write succeeds proves nothing, so try your
   kernel end to end before:
       desc.tun_writes_tunnels = tuo_tun_probe_tunnels(NULL) == TUO_OK;
   On your own descriptor set vnet_hdr_len 24, and tunnels_for_tun for a TUN device.

   Two datagrams merge if their inner packets may merge, and these are equal: outer Ethernet header,
   addresses, ports, TTL, TOS, DF, flow label; tunnel header with VNI and options; inner Ethernet
   header. Both have an outer checksum, or neither. Outer IPv4 IDs follow the rule of ip_id on their
   own. max_bytes and TUO_HEADER_MAX count from the outer packet on. Switches and excluded ports are
   about the inner packet: vxlan_ports wins over the same port in udp_excluded_ports. There is no
   order repair: a late inner segment starts a new superpacket.

   GRO looks into datagrams whose outer packet has no tags, IP options or extension headers. VXLAN
   has the I flag, and not the P flag of GPE. Geneve is version 0 without the O flag. The inner
   frame has at most one tag. Every other datagram to such a port, and one in pieces, leaves alone,
   and closes all tunnels between its two addresses. An inner packet that cannot merge closes its
   flow. An inner fragment closes all flows between the inner addresses. An inner frame that is not
   IP closes nothing. Geneve of bare IP with less than 8 bytes of options is plain UDP on a TUN
   device, which would refuse it.

   SPEED

   Payloads are summed by SSE2, AVX2, AVX-512 or NEON. No compiler flags are needed. tuo_gro_init
   asks the processor; a tuo_tun asks once, when it is opened. tuo_gso_init and tuo_tx_init keep no
   state and use only instructions that the compiler may assume (SSE2 on x86-64). For more, pass
   TUO_F_SIMD(tuo_simd_best()); call tuo_simd_best only once.

   tuo_gro_push_batch and tuo_gro_next_batch save some instructions per packet. They also fetch
   headers ahead: packets that another processor or a device wrote are not in the cache. A program
   that pushes one packet at a time can do that itself. It prefetches the first bytes of the packets
   that it will push next (__builtin_prefetch), some 16 packets ahead. tuo_gro_batch and
   tuo_tun_send_batch fetch ahead by themselves.

   MEMORY

   The library keeps these pointers after a call has returned. A garbage collector must neither free
   nor move the memory behind them. No other pointer is kept, and strings of a desc are not kept.

       call                          keeps                 until
       tuo_gro_init                  mem                   the last use of the instance
       tuo_gro_push, _push_batch     pkt, user             the superpacket that has them was used
       tuo_gro_push_iov              iov, its bytes, user  the same
       tuo_gro_push_buf              buf                   the same, of tuo_gro_next_copy
       tuo_gro_next, _next_batch,    sp: iov may point     iov was used
       _next_copy                    into *sp
       tuo_gso_init, tuo_tx_init     pkt                   the last segment or packet was used
       tuo_gso_next, tuo_tx_next     gso, tx or header:    the segment or packet was used
                                     iov points into it
       tuo_flow_table_init           mem                   the last use of the table
       tuo_tx_queue_init             slots, send, user     the last use of the queue
       tuo_tx_queue_push             packet                the device or tuo_tx_queue_take took it
       tuo_rx_queue_init             slots, recv, user     the last use of the queue
       tuo_rx_queue_inject           packet->bytes, user   tuo_rx_queue_batch handed them out
       tuo_tun_send_batch            bufs[0..*taken),      this or a later sending call returned
                                     callbacks of ops,     TUO_OK, or TUO_E_DOWN without
                                     ops->user             hold_when_down; or tuo_tun_discard, or
                                                           tuo_tun_close
       tuo_udp_commit, _push,        user (never           tuo_udp_next_lost returned it, or the
       _send_batch                   followed)             datagram left

   The library hands out these pointers into its own memory:

       sp.iov, sp.users              good until the first push or reset after TUO_DONE. iov[0] may
                                     point into *sp: for several superpackets in one system call,
                                     use one tuo_superpacket for each
       packet of tuo_tun_next        good until the next receiving call on this queue
       datagram of tuo_udp_next      good until the next receiving call on this socket; peer as well
       memory of tuo_udp_reserve     good until the next sending call on this socket
       tuo_flow_table_find, _insert  good until the next insert, remove or reset

   Instances are caller-owned memory, aligned for uint64_t: malloc, static or on the stack. There is
   nothing to free but this memory. A tuo_tun or tuo_udp is one allocation (TUO_CALLOC), freed by
   close. Callbacks run on the thread of the caller, during a call only.

   ERRORS AND VERDICTS

   A tuo_result says whether the call did its job. If the result is negative, out-parameters are
   unchanged, unless the function says otherwise. A tuo_verdict says how GRO treated one packet, and
   is never an error. tuo_result_name, tuo_result_text, tuo_verdict_name and tuo_verdict_text return
   their names and texts. tuo_gro_stats counts packets per verdict. Bytes from the network never
   lead to an assertion.

   THREADS

   No globals. Use each instance from one thread at a time: tuo_gro, tuo_gso, tuo_tx,
   tuo_flow_table, tuo_tx_queue, tuo_rx_queue. Different instances are independent. A tuo_tun or
   tuo_udp can have one receiving and one sending thread. All other functions are stateless.

   COMPILE-TIME OPTIONS

       TUNOFFLOAD_IMPLEMENTATION  in exactly one file, before the #include: compiles the
                                  implementation
       TUNOFFLOAD_TUN             everywhere, before the #include: adds the TUN device of Linux
                                  (system headers, calloc at open)
       TUNOFFLOAD_UDP             everywhere, before the #include: adds the UDP socket of Linux
                                  (the same)
       TUO_STATIC                 only together with TUNOFFLOAD_IMPLEMENTATION, in any number of
                                  files: functions are static to each file
       TUO_API                    everywhere: your own decoration of public functions
       TUO_ASSERT(condition)      implementation file: called with conditions that must hold between
                                  caller and library; default: nothing
       TUO_CALLOC, TUO_FREE       implementation file, both or neither: memory of the Linux parts,
                                  calloc(count, size) and free(pointer)
       TUO_NO_LIBC                implementation file: no <string.h>. TUO_MEMCPY, TUO_MEMMOVE,
                                  TUO_MEMSET and TUO_MEMCMP must all be defined. Implies
                                  TUO_NO_SIMD. Compilers may still call memcpy and memset for
                                  structures: a freestanding environment has to provide these
       TUO_MEMCPY, TUO_MEMMOVE, TUO_MEMSET, TUO_MEMCMP
                                  implementation file, all or none: instead of those of <string.h>
       TUO_NO_SIMD                implementation file: portable code only; for code that may not use
                                  vector registers (kernels)

   No macro changes the layout of a public struct.

   LIMITS

   - Headers up to TUO_HEADER_MAX bytes, TUO_VLAN_MAX tags, TUO_IP6_EXT_MAX extension headers.
     Beyond these limits GRO emits the packet alone. tuo_gso_init refuses the packet only with a
     GSO type. IPv4 with options never merges (as in the kernel), but splits.
   - Coalesced superpackets have at most 65535 bytes of IP packet, as Linux demands on a TUN device.
     tuo_gso_init and tuo_tx_init take larger ones (IP length 0), and tuo_tso_prepare makes larger
     ones for devices that allow them.
   - Jumbo payload option (RFC 2675): no segment may have it, so packets with it never merge, and
     superpackets with it are not cut (TUO_E_IP6_JUMBO). TUO_F_STRIP_JUMBO takes it out. The TUN
     device always takes it out, because a refused read would lose the packet. Of superpackets in
     UDP tunnels it is never taken out.
   - Stricter than GRO of the kernel, so that nothing is lost:
     another flow label or extension header closes the flow (the kernel sees another flow);
     packets with a TCP checksum or IPv4 header checksum of 0xffff do not merge (splitting writes
     the other zero);
     the urgent pointer must be equal;
     a constant IPv4 ID needs DF, for UDP as well (kernels before 6.18 agree);
     CWR never merges (kernel generations disagree);
     a packet that cannot merge closes its flow, even if the kernel lets this packet overtake.
   - AccECN: a vnet header cannot say that all segments keep CWR, so such superpackets are neither
     made nor cut (TUO_E_VNET_ACCECN). Linux never writes one to a TUN device. Segments of a sender
     with AccECN (Linux 7) arrive one by one there.
   - UDP: some kernels before 6.8.5 lose coalesced datagrams for local tunnel endpoints. Exclude the
     ports of these endpoints: 4789 and 8472 (VXLAN), 6081 (Geneve), 4500 (IPsec over UDP). Set
     udp_excluded_ports = { 4789, 8472, 6081, 4500 }, udp_excluded_port_count = 4. Or set
     disable_udp4 and disable_udp6.

   SOURCES

   RFC 791 (IPv4), 8200 (IPv6), 9293 (TCP), 768 (UDP), 1071 and 1624 (checksum), 3168 (ECN), 6864
   (IPv4 ID), 4418 (hash); virtio 1.3 5.1.6; IEEE 802.1Q. Linux: net/core/gro.c,
   net/ipv4/{af_inet,tcp_offload,udp_offload}.c, net/ipv6/{ip6_offload,tcpv6_offload}.c,
   include/net/gro.h, include/linux/virtio_net.h, drivers/net/tun.c. "K 4.7" and "U 1.4" in comments
   are numbers in tests/kernel-rules.md of this project, the list of measured kernel facts. */

/* ------------------------------------------------------------------------------------- >>config */

#define TUO_VERSION 200 /* 10000 * major + 100 * minor + patch */
#define TUO_VERSION_STRING "0.2.0"

#include <stddef.h>
#include <stdint.h>

/* TUO_API: decoration of every public function (dllexport, for instance). If you define TUO_API,
   do so before every #include of this header. TUO_STATIC instead makes every function static to the
   including file. */
#if defined(__GNUC__) || defined(__clang__)
#define TUOI_UNUSED __attribute__((unused))
#define TUO_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TUOI_UNUSED
#define TUO_MUST_CHECK
#endif
#ifndef TUO_API
#ifdef TUO_STATIC
#define TUO_API static TUOI_UNUSED
#else
#define TUO_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The most header bytes that this library copies or stamps, from the start of a frame to the TCP or
   UDP payload. Ethernet, VLAN tags, IP options, IPv6 extension headers and TCP options count.
   GRO emits packets with longer headers alone (TUO_V_HEADER_TOO_LONG). GSO refuses superpackets
   with longer headers (TUO_E_HEADER_TOO_LONG). Every IPv4 packet fits, even with TUO_VLAN_MAX tags:
   14 + 4*4 + 60 + 60. */
#define TUO_HEADER_MAX 256

/* Bounds of the parser. A packet with more gets a named rejection. */
#define TUO_VLAN_MAX 4      /* stacked 802.1Q / 802.1ad tags */
#define TUO_IP6_EXT_MAX 8   /* IPv6 extension headers in front of TCP or UDP */

/* Flags, or-ed together. Each function names the flags that it reads, and ignores all others. */
enum {
    /* Bytes start with an Ethernet header (TAP, packet sockets), not with an IP header (TUN). */
    TUO_F_ETHERNET = 1,
    /* Segments keep the pseudo-header sum in their TCP or UDP checksum field, for a device that
       finishes checksums. */
    TUO_F_PSEUDO = 2,
    /* Do not verify checksums: the source of these bytes is trusted (authenticated tunnel, own
       stack). */
    TUO_F_TRUST = 4,
    /* tuo_vnet_check: also apply the rules of the kernel for a packet written to a TUN or TAP
       device. */
    TUO_F_WRITE = 8,
    /* An IP or UDP length field of 0 means "up to the end" (BIG TCP, oversize superpackets). */
    TUO_F_SUPERPACKET = 16,
    /* tuo_gro_push: a device has verified the TCP or UDP checksum. The IPv4 header is still
       summed. */
    TUO_F_TRUST_L4 = 32,
    /* tuo_gso_init, tuo_tx_init: take a jumbo payload option (RFC 2675) out of what is cut. */
    TUO_F_STRIP_JUMBO = 64
};

/* Instructions that sum payloads. Results never depend on them. */
typedef enum tuo_simd {
    /* tuo_gro_desc: the best usable level. TUO_F_SIMD: instructions that the compiler may assume of
       the target. */
    TUO_SIMD_DETECT = 0,
    TUO_SIMD_SCALAR = 1, /* portable C, 64 bits at a time */
    TUO_SIMD_SSE2 = 2,
    TUO_SIMD_NEON = 3,
    TUO_SIMD_AVX2 = 4,
    /* F, BW and VNNI: Ice Lake, Zen 4 and later. Older processors slow down for 512-bit vectors. */
    TUO_SIMD_AVX512 = 5,
    TUOI_SIMD_ANY_INT = -0x7FFFFFFF - 1 /* private, as below */
} tuo_simd;

/* A level as a flag, for functions that keep nothing between calls. CPUID takes a microsecond in a
   virtual machine, so call tuo_simd_best() only once. A level that is not usable is undefined
   behaviour (an illegal instruction). */
#define TUO_F_SIMD(level) ((unsigned)(level) << 8)

/* ------------------------------------------------------------------------------------ >>results */

/* tuo_result: did the call do its job? 0: yes. Positive: no error, but the call may have done only
   part of its job, or nothing. Negative: no.
   TUO_DONE, TUO_MORE and TUO_AGAIN are positive. Where a function can return them, test `!= TUO_OK`
   instead of `< 0`. A negative result leaves everything that the caller can see as before, unless
   the function says otherwise.
   X(name, value, text) */
#define TUO_RESULTS(X)                                                                             \
    X(OK, 0, "done")                                                                               \
    X(DONE, 1, "nothing more to hand out")                                                         \
    X(MORE, 2, "there may be more: call again, with fresh output buffers or in the next round")    \
    X(AGAIN, 3,                                                                                    \
      "would block, or time is over; each function says what happened to its packets")             \
    X(E_INVALID, -1, "an argument is outside its documented range")                                \
    X(E_NOSPACE, -2,                                                                               \
      "an output buffer or the given memory is too small, or all slots are in use")                \
    X(E_BUFFER, -3, "a buffer callback failed")                                                    \
    X(E_NOT_IP, -4, "neither IPv4 nor IPv6 (version nibble or ethertype)")                         \
    X(E_TRUNCATED, -5, "the bytes end inside a vnet, Ethernet or IP header")                       \
    X(E_VLAN_DEPTH, -6, "more stacked VLAN tags than TUO_VLAN_MAX")                                \
    X(E_IP_HEADER, -7, "IPv4 header length below 20 bytes or beyond the packet")                   \
    X(E_IP_LENGTH, -8,                                                                             \
      "the IP length field claims more bytes than there are, or too few (tunnel, write rule: not all)") \
    X(E_IP6_EXT, -9,                                                                               \
      "IPv6 extension headers run past the packet or are more than TUO_IP6_EXT_MAX")               \
    X(E_TCP_HEADER, -10, "TCP header shorter than 20 bytes or longer than the packet")             \
    X(E_UDP_LENGTH, -11,                                                                           \
      "UDP length below 8 or beyond the IP payload; tunnel, write rule: not the IP payload length") \
    X(E_HEADER_TOO_LONG, -12, "headers longer than TUO_HEADER_MAX")                                \
    X(E_IP_CSUM, -13, "IPv4 header checksum is wrong")                                             \
    X(E_L4_CSUM, -14, "TCP or UDP checksum is wrong")                                              \
    X(E_CSUM_RANGE, -15, "csum_start + csum_offset + 2 lies beyond the packet, or the IP packet (write rule)") \
    X(E_VNET_GSO_TYPE, -16, "gso_type is not a known value")                                       \
    X(E_VNET_UFO, -17, "gso_type UDP (legacy UFO): fragments datagrams, not supported")            \
    X(E_VNET_TUNNEL, -18,                                                                          \
      "gso_type with a UDP tunnel bit, and no such tunnel in the packet, or on write")             \
    X(E_VNET_ECN, -19, "ECN bit on a gso_type that is not TCP")                                    \
    X(E_VNET_GSO_SIZE, -20,                                                                        \
      "gso_size 0 or 65535, segments too long or too short, or one that the kernel would drop (write rule)") \
    X(E_VNET_CSUM_START, -21, "csum_start is not where the TCP or UDP header starts")              \
    X(E_VNET_CSUM_OFFSET, -22, "csum_offset is not 16 (TCP) or 6 (UDP)")                           \
    X(E_VNET_IP_VERSION, -23, "gso_type TCPV4 on IPv6 or TCPV6 on IPv4")                           \
    X(E_VNET_PROTOCOL, -24,                                                                        \
      "gso_type TCP on a packet that is not TCP, or UDP on one that is not UDP")                   \
    X(E_VNET_NEEDS_CSUM, -25,                                                                      \
      "GSO without NEEDS_CSUM on UDP, in a tunnel, or behind a routing header with segments left") \
    X(E_VNET_NO_PAYLOAD, -26, "GSO type on a packet without payload, which the kernel would drop (write rule)") \
    X(E_VNET_FRAGMENT, -27, "GSO type on an IP fragment")                                          \
    X(E_VNET_HDR_LEN, -28, "hdr_len beyond the packet (write rule)")                               \
    X(E_VNET_SEG_LIMIT, -29, "UDP_L4 superpacket of more than 128 segments (write rule)")          \
    X(E_SYSTEM, -30, "a system call failed; errno is available (Linux parts)")                     \
    X(E_UNSUPPORTED, -31,                                                                          \
      "the device, descriptor, kernel or network namespace does not support the request")          \
    X(E_WOKEN, -32, "woken by tuo_tun_wake, tuo_udp_wake or a close (Linux parts)")                \
    X(E_DOWN, -33, "the interface is down (TUN backend)")                                          \
    X(E_GONE, -34, "the device was deleted (TUN backend)")                                         \
    X(E_REFUSED, -35, "the kernel does not take these bytes as a packet (TUN backend)")            \
    X(E_VNET_ACCECN, -36, "gso_type with the AccECN bit: not supported")                           \
    X(E_IP6_JUMBO, -37, "superpacket with an IPv6 jumbo payload option, which no segment may have") \
    X(E_MTU, -38, "the packet, or a segment of it, is longer than the MTU of the device")

typedef enum tuo_result {
#define TUOI_X(name, value, text) TUO_##name = (value),
    TUO_RESULTS(TUOI_X)
#undef TUOI_X
    /* private: lets the type hold any int, so that a foreign number is not undefined in C++ */
    TUOI_RESULT_ANY_INT = -0x7FFFFFFF - 1
} tuo_result;

/* tuo_verdict: what GRO did with one packet, and which rule decided. A verdict is no error: every
   packet that was taken is emitted. Words in the texts:
     passes   the packet is emitted alone and unchanged
     starts   the packet is the head of a new item, which later packets may join
     closes   no later packet joins what was held of the flow before
   A verdict describes the moment of the push. Two items that become one later are counted by
   tuo_gro_stats.joined_items.
   X(name, text, source). source: an RFC section, the function of the Linux kernel with the same
   rule, or the option that decides. */
#define TUO_VERDICTS(X)                                                                            \
    X(HELD, "first of its flow; starts", "tcp_offload.c tcp_gro_receive")                          \
    X(APPENDED, "joined an item at its end", "gro.c skb_gro_receive")                              \
    X(PREPENDED, "a late segment, became the head of an item",                                     \
      "not in the kernel; disable_prepend")                                                        \
    /* not a candidate: passes */                                                                  \
    X(NOT_IP, "neither IPv4 nor IPv6", "RFC 791 3.1, RFC 8200 3")                                  \
    X(TRUNCATED, "the bytes end inside an Ethernet or IP header", "af_inet.c inet_gro_receive")    \
    X(VLAN_DEPTH, "too many stacked VLAN tags", "TUO_VLAN_MAX")                                    \
    X(IP_HEADER, "impossible IPv4 header length", "RFC 791 3.1")                                   \
    X(IP_LENGTH, "the IP length field does not fit the bytes", "af_inet.c inet_gro_receive")       \
    X(TRAILING_BYTES, "bytes after the end of the IP packet; closes",                              \
      "af_inet.c inet_gro_receive")                                                                \
    X(IP_OPTIONS, "IPv4 options; closes", "af_inet.c inet_gro_receive")                            \
    X(IP_FRAGMENT, "IP fragment; closes all flows of its two addresses",                           \
      "af_inet.c inet_gro_receive")                                                                \
    X(IP_RESERVED_BIT, "reserved bit of the IPv4 header set; closes",                              \
      "af_inet.c inet_gro_receive")                                                                \
    X(IP6_EXT,                                                                                     \
      "extension header that hides the ports, jumbo option, or broken chain; closes all flows of its addresses", \
      "ip6_offload.c ipv6_gso_pull_exthdrs, RFC 2675 3")                                                       \
    X(IP6_ROUTING,                                                                                 \
      "routing header with segments left: the checksum covers another address; closes",            \
      "RFC 8200 8.1")                                                                              \
    X(PROTOCOL, "neither TCP nor UDP", "gro.c dev_gro_receive")                                    \
    X(TCP_HEADER, "impossible TCP header length; closes all flows of its addresses",               \
      "tcp_offload.c tcp_gro_pull_header")                                                         \
    X(UDP_LENGTH, "UDP length is not the IP payload length; closes",                               \
      "udp_offload.c udp_gro_receive_segment")                                                     \
    X(UDP_ZERO_CSUM, "UDP without a checksum; closes", "udp_offload.c udp_gro_receive")            \
    X(UDP_EMPTY, "UDP datagram without payload; closes", "udp_offload.c udp_gro_receive_segment")  \
    X(TCP_EMPTY, "TCP segment without payload; closes", "tcp_offload.c tcp_gro_receive")           \
    X(TCP_FLAGS, "SYN, RST or URG; closes", "tcp_offload.c tcp_gro_receive")                       \
    X(TCP_CWR, "CWR: must stay on exactly this segment; closes",                                   \
      "RFC 3168 6.1.2, tcp_offload.c tcp_gro_receive")                                             \
    X(DISABLED, "switched off for this protocol; closes", "tuo_gro_desc")                          \
    X(PORT_EXCLUDED, "port on the exclusion list; closes", "tuo_gro_desc")                         \
    X(HEADER_TOO_LONG, "headers longer than TUO_HEADER_MAX; closes", "TUO_HEADER_MAX")             \
    X(TOO_LARGE, "packet larger than max_bytes; closes", "tuo_gro_desc")                           \
    X(CSUM_ALIAS, "0xffff where splitting would write 0x0000; closes", "RFC 1624 3")               \
    /* a candidate that joins no held item: starts. TCP: in its place among the items of its flow, \
       unless the text says "closes". UDP, or with disable_prepend: closes */                      \
    X(TUNNEL_DIFFERS, "one has an outer UDP checksum, the other has none; closes",                 \
      "udp_offload.c udp_gro_receive")                                                             \
    X(FLOW_LABEL_DIFFERS, "IPv6 flow label differs; closes", "ip6_offload.c ipv6_gro_receive")     \
    X(IP6_EXT_DIFFERS, "IPv6 extension headers differ; closes", "ip6_offload.c ipv6_gro_receive")  \
    X(TOS_DIFFERS, "TOS / traffic class differs", "gro.h inet_gro_flush")                          \
    X(TTL_DIFFERS, "TTL / hop limit differs", "gro.h inet_gro_flush")                              \
    X(DF_DIFFERS, "DF bit differs", "gro.h inet_gro_flush")                                        \
    X(IP_ID_DIFFERS, "IPv4 ID does not fit: by default neither +1 nor constant under DF",          \
      "gro.h inet_gro_flush, RFC 6864")                                                            \
    X(ACK_DIFFERS, "TCP acknowledgment number differs", "tcp_offload.c tcp_gro_receive")           \
    X(RESERVED_DIFFERS, "TCP reserved bits (AE included) differ", "tcp_offload.c tcp_gro_receive") \
    X(FLAGS_DIFFERS, "TCP flags other than FIN and PSH differ", "tcp_offload.c tcp_gro_receive")   \
    X(WINDOW_DIFFERS, "TCP window differs", "tcp_offload.c tcp_gro_receive")                       \
    X(URGENT_DIFFERS, "TCP urgent pointer differs",                                                \
      "lossless splitting; the kernel does not compare it")                                        \
    X(OPTIONS_DIFFERS, "TCP options differ", "tcp_offload.c tcp_gro_receive")                      \
    X(SEQ_GAP, "TCP sequence gap", "tcp_offload.c tcp_gro_receive")                                \
    X(SEQ_OVERLAP, "TCP bytes that are held already (retransmission); closes",                     \
      "tcp_offload.c tcp_gro_receive")                                                             \
    X(SEQ_LATE, "late TCP segment that touches no open item, or prepending is off",                \
      "tcp_offload.c tcp_gro_receive")                                                             \
    X(LONGER, "longer than the segments it would follow, or shorter than those it would precede",  \
      "tcp_offload.c tcp_gro_receive")                                                             \
    X(AFTER_PSH_FIN, "PSH or FIN may only be on the last segment",                                 \
      "tcp_offload.c tcp_gro_receive")                                                             \
    X(AFTER_SHORT, "only the last segment may be short", "tcp_offload.c tcp_gro_receive")          \
    X(TINY, "TCP segments below 8 bytes: some kernels would cut them differently",                 \
      "virtio_net.h TCP_MIN_GSO_SIZE")                                                             \
    X(CAP_BYTES, "the superpacket would exceed max_bytes", "gro.c skb_gro_receive")                \
    X(CAP_SEGS, "the superpacket would exceed max_segs or max_udp_segs",                           \
      "udp_offload.c UDP_GRO_CNT_MAX")                                                             \
    X(CAP_FRAGS, "the superpacket would exceed max_frags", "tuo_gro_desc")                         \
    X(CAP_BUFFER, "the superpacket would exceed the capacity of its buffer", "tuo_buf_ops")        \
    X(PAIR_CLOSED, "the flow was closed by a fragment or another packet whose ports are unknown",  \
      "ordering")                                                                                  \
    X(HEAD_BAD_CSUM, "the held head turned out to have a bad checksum; it leaves unchanged",       \
      "tcp_offload.c tcp4_gro_receive")                                                            \
    /* a wrong checksum: passes and closes */                                                      \
    X(BAD_IP_CSUM, "IPv4 header checksum is wrong", "af_inet.c inet_gro_receive")                  \
    X(BAD_L4_CSUM, "TCP or UDP checksum is wrong", "gro.h skb_gro_checksum_validate")              \
    /* NOT taken: the packet is not held */                                                        \
    X(NO_ROOM, "max_packets pushed since the last TUO_DONE: NOT taken; drain, then push again",    \
      "tuo_gro_desc")                                                                              \
    X(PIECES, "no pieces, or more than ever fit: NOT taken; push the packet as one piece", "tuo_gro_push_iov")

typedef enum tuo_verdict {
#define TUOI_X(name, text, source) TUO_V_##name,
    TUO_VERDICTS(TUOI_X)
#undef TUOI_X
    TUO_V_COUNT, /* number of verdicts; not a verdict */
    TUOI_V_ANY_INT = -0x7FFFFFFF - 1 /* private, as above */
} tuo_verdict;

/* -------------------------------------------------------------------------------------- >>types */

/* One piece of a packet. Same layout as struct iovec of POSIX, except that the bytes are const. */
typedef struct tuo_iov {
    const void *base;
    size_t len; /* bytes */
} tuo_iov;

/* The built-in buffer, used wherever a tuo_buf_ops pointer is NULL. */
typedef struct tuo_buf {
    uint8_t *data;
    size_t len;      /* bytes in use */
    size_t capacity; /* bytes that data can hold */
} tuo_buf;

/* Buffers other than tuo_buf, for the copying functions. Set all five callbacks, or pass a NULL
   tuo_buf_ops pointer. Each callback gets `user`. Callbacks run on the caller's thread, only during
   a call of this library, and must not call back into the same instance. The bytes stay
   caller-owned.
     data      first byte of the buffer's contiguous memory; asked again after every resize and
               append, which may move the memory
     len       bytes in use
     capacity  bytes that len can grow to by appends; an append within it may still fail. A buffer
               that grows by chaining pieces may count pieces that it can still chain
     resize    set the bytes in use to len and keep the first min(old, new) bytes; new bytes are
               indeterminate. 0: done. Otherwise nothing changed. tuo_gso_split and
               tuo_tun_recv_batch write by position: for them, refuse a len that data cannot reach
     append    add len bytes behind the last byte; bytes never overlap the buffer. 0: done.
               Otherwise nothing changed */
typedef struct tuo_buf_ops {
    void *user;
    uint8_t *(*data)(void *user, void *buf);
    size_t (*len)(void *user, const void *buf);
    size_t (*capacity)(void *user, const void *buf);
    int (*resize)(void *user, void *buf, size_t len);
    int (*append)(void *user, void *buf, const uint8_t *bytes, size_t len);
} tuo_buf_ops;

/* virtio_net_hdr flags (virtio 1.3 5.1.6) */
enum {
    TUO_VNET_NEEDS_CSUM = 1,     /* partial checksum: the field holds a pseudo-header sum */
    TUO_VNET_DATA_VALID = 2,     /* checksums were verified; the TUN driver ignores it on write */
    /* csum_start and csum_offset count coalesced segments; not used by TUN, ignored here */
    TUO_VNET_RSC_INFO = 4,
    TUO_VNET_UDP_TUNNEL_CSUM = 8 /* the outer UDP checksum is partial as well; Linux 6.17 */
};

/* virtio_net_hdr gso_type */
enum {
    TUO_GSO_NONE = 0,
    TUO_GSO_TCPV4 = 1,
    TUO_GSO_UDP = 3,    /* legacy UFO: refused */
    TUO_GSO_TCPV6 = 4,
    TUO_GSO_UDP_L4 = 5, /* USO, both IP versions; Linux 6.2 */
    TUO_GSO_ACCECN = 0x10, /* all segments keep CWR: refused */
    /* or-ed onto the type of a packet inside UDP: VXLAN, Geneve; the version is the outer one */
    TUO_GSO_UDP_TUNNEL_IPV4 = 0x20,
    TUO_GSO_UDP_TUNNEL_IPV6 = 0x40, /* Linux 6.17 */
    TUO_GSO_ECN = 0x80  /* or-ed onto a TCP type: CWR may be set in the first segment */
};

/* Bytes of the virtio_net_hdr layouts: vnet_hdr_len in every function here (TUNSETVNETHDRSZ). */
enum {
    TUO_VNET_LEN = 10, TUO_VNET_LEN_V1 = 12, TUO_VNET_LEN_HASH = 20, TUO_VNET_LEN_TUNNEL = 24, TUO_VNET_LEN_MAX = 24
};

/* Byte order of a vnet header in memory. A TUN device uses native order, unless TUNSETVNETLE or
   TUNSETVNETBE was called. Fields from byte 12 on are always little-endian, as in the kernel. */
typedef enum tuo_order {
    TUO_ORDER_NATIVE = 0,
    TUO_ORDER_LITTLE = 1,
    TUO_ORDER_BIG = 2,
    TUOI_ORDER_ANY_INT = -0x7FFFFFFF - 1 /* private, as above */
} tuo_order;

/* A virtio_net_hdr in host order: all that GSO knows of a packet beyond its bytes. Offsets count
   from the start of the frame (the Ethernet header, if there is one). Zero-initialised: an ordinary
   packet with finished checksums. */
typedef struct tuo_vnet_hdr {
    uint8_t flags;             /* TUO_VNET_* */
    uint8_t gso_type;          /* TUO_GSO_* */
    uint16_t hdr_len;          /* bytes of all headers; a hint that readers must not trust */
    uint16_t gso_size;         /* TCP or UDP payload bytes per segment */
    uint16_t csum_start;       /* where summing starts */
    uint16_t csum_offset;      /* from csum_start to the checksum field */
    uint16_t num_buffers;      /* 12 bytes and up; ignored by TUN; virtio 1.x guests want 1 */
    uint32_t hash_value;       /* 20 bytes and up */
    uint16_t hash_report;      /* 20 bytes and up */
    uint16_t outer_th_offset;  /* 24 bytes: the outer UDP header, of a tunnel type */
    uint16_t inner_nh_offset;  /* 24 bytes: the inner IP header, of a tunnel type */
} tuo_vnet_hdr;

/* The four kinds of packets that offloads apply to. */
typedef enum tuo_kind {
    TUO_KIND_NONE = 0, TUO_KIND_TCP4 = 1, TUO_KIND_UDP4 = 2, TUO_KIND_TCP6 = 3, TUO_KIND_UDP6 = 4
} tuo_kind;

/* tuo_pkt_info.flags */
enum {
    TUO_PKT_FRAGMENT = 1,     /* IPv4 fragment, or any IPv6 fragment header */
    TUO_PKT_DF = 2,           /* IPv4 Don't Fragment */
    TUO_PKT_RESERVED_BIT = 4, /* IPv4 reserved bit */
    TUO_PKT_IP_OPTIONS = 8,   /* IPv4 header longer than 20 bytes */
    /* IPv6 routing header with segments left: the destination address is not the final one */
    TUO_PKT_ROUTING = 16,
    /* the IPv6 header chain ends in a fragment header, or in a header that hides the ports (AH,
       mobility, HIP, shim6, experimental) */
    TUO_PKT_OPAQUE = 32
};

/* Findings of tuo_parse. Offsets count from the first byte given to tuo_parse. Integers are in host
   order. After TUO_OK:
     ip_off + ip_hdr_len == l4_off <= payload_off
     payload_off + payload_len <= ip_off + total_len <= len
   If kind is not NONE, every header byte up to payload_off is there. */
typedef struct tuo_pkt_info {
    uint32_t ip_off;      /* start of the IP header, behind Ethernet header and tags */
    uint32_t ip_hdr_len;  /* IPv4 with options; IPv6 with extension headers */
    uint32_t l4_off;      /* start of what follows the IP headers */
    uint32_t l4_hdr_len;  /* TCP with options; 8 for UDP; 0 otherwise */
    uint32_t payload_off; /* start of the TCP or UDP payload; l4_off if kind is NONE */
    uint32_t payload_len; /* UDP: by the UDP length field; others: to the end of the IP packet */
    uint32_t total_len;   /* bytes of the IP packet, headers included */
    uint32_t trailer_len; /* bytes given beyond the IP packet (Ethernet padding) */
    uint16_t ethertype;   /* innermost; 0 without TUO_F_ETHERNET */
    uint8_t ip_version;   /* 4 or 6 */
    uint8_t l4_proto;     /* IP protocol number at l4_off; OPAQUE: where the chain ended */
    uint8_t vlan_count;
    uint8_t ttl;          /* or hop limit */
    uint8_t tos;          /* or traffic class */
    uint8_t flags;        /* TUO_PKT_* */
    uint16_t ip_id;       /* IPv4 */
    uint16_t src_port, dst_port; /* TCP and UDP */
    uint16_t window;      /* TCP */
    uint32_t flow_label;  /* IPv6 */
    uint32_t seq, ack;    /* TCP */
    uint8_t tcp_flags;    /* CWR ECE URG ACK PSH RST SYN FIN, FIN lowest */
    uint8_t kind;         /* tuo_kind; NONE for fragments and all but TCP and UDP */
} tuo_pkt_info;

/* Identity of a flow in one direction: 48 bytes without padding. Compared byte by byte: fill every
   field (memset first). */
typedef struct tuo_flow_key {
    uint8_t src[16], dst[16]; /* IPv4 addresses in the first 4 bytes, zeros behind */
    uint16_t src_port, dst_port;
    uint32_t flow_label;      /* IPv6 */
    uint32_t extra;           /* the caller's, for whatever else tells flows apart */
    uint8_t ip_version, l4_proto;
    uint16_t extra16;         /* the caller's */
} tuo_flow_key;

/* Bounded hash table from tuo_flow_key to uint32_t, in caller-owned memory. */
typedef struct tuo_flow_table tuo_flow_table;

/* Work done by a flow table since init. A lookup probes at most TUO_FLOW_WAYS slots, for any
   keys. */
#define TUO_FLOW_WAYS 8
typedef struct tuo_flow_stats {
    uint64_t lookups;   /* finds, inserts and removes */
    uint64_t probes;    /* slots looked at, in buckets that were not empty */
    uint64_t evictions; /* live entries displaced by an insert into a full bucket */
} tuo_flow_stats;

/* IPv4 IDs that may merge. The split numbers segments id, id+1, ... (K 6.2), so packets with other
   IDs are renumbered. */
typedef enum tuo_ip_id {
    /* as the kernel: counting up by one, or constant under DF (RFC 6864: no meaning there) */
    TUO_IP_ID_DEFAULT = 0,
    TUO_IP_ID_EXACT = 1,   /* counting up by one only: splitting is always lossless */
    TUO_IP_ID_ANY_DF = 2,  /* any IDs under DF; without DF counting up by one */
    /* any IDs. Without DF not lossless: later fragments have other IDs than the sender meant */
    TUO_IP_ID_ANY = 3,
    TUOI_IP_ID_ANY_INT = -0x7FFFFFFF - 1 /* private, as above */
} tuo_ip_id;

/* GRO configuration. Zero-initialised: valid. Set hash_seed to a random number; the other defaults
   suit most programs. */
#define TUO_EXCLUDED_PORTS_MAX 16
#define TUO_TUNNEL_PORTS_MAX 4
typedef struct tuo_gro_desc {
    /* Capacity: fixed at init. */
    /* packets pushed between two drains, pieces counted one by one; 0 = 256; 1..1048576 */
    uint32_t max_packets;
    /* flows that merge at the same time; 0 = 128; 1..65536. If its bucket of TUO_FLOW_WAYS flows is
       full, a new flow closes a flow there: one whose newest item is full, or else any */
    uint32_t max_flows;
    /* a number that an attacker cannot guess, of getrandom for instance. With 0 an attacker can
       choose flows that evict each other. In tuo_tun_desc.gro: 0 = random */
    uint64_t hash_seed;
    /* Limits of one superpacket. tuo_gro_reconfigure can change these and all below. */
    /* bytes of the IP packet; 0 = 65535 (IPv4 length field, kernel's bound for IPv6); 576..65535 */
    uint32_t max_bytes;
    uint32_t max_segs;           /* TCP segments; 0 = no limit; from 2 */
    /* UDP datagrams; 0 = 64 (a TUN device of Linux 6.2 to 6.8 refuses more); 2..128 (a TUN device
       of any kernel refuses more) */
    uint32_t max_udp_segs;
    /* gather mode: iovecs with payload, also pieces of one packet; 0 = 1022 (IOV_MAX is 1024);
       2..65535 */
    uint32_t max_frags;
    uint32_t max_items_per_flow; /* open items of a TCP flow, gaps between them; 0 = 16; 1..64 */
    uint32_t vnet_hdr_len;       /* bytes in front of each emitted packet; 0 = 10; 10, 12, 20, 24 */
    tuo_order vnet_order;        /* byte order of the vnet header */
    tuo_ip_id ip_id;             /* IPv4 IDs that may merge */
    /* 0: the best usable level, found at init (tuo_gro_reconfigure: the level in use). Others: that
       level, for tests */
    tuo_simd simd;
    /* Switches: 0 is the default of each. */
    uint8_t no_vnet_hdr;         /* emit no vnet header bytes; tuo_superpacket.vnet is filled */
    uint8_t ethernet;            /* packets start with an Ethernet header */
    uint8_t disable_tcp4, disable_tcp6, disable_udp4, disable_udp6;
    /* do not merge TCP with IPv6 extension headers: Linux 6.12.117 and 7.2 drop some of these
       superpackets when they forward them (K 1.23) */
    uint8_t disable_tcp6_ext;
    /* no order repair, as in the kernel; same effect as disable_prepend. Stricter rules remain
       (manual, LIMITS) */
    uint8_t strict_kernel;
    /* never let a late segment move forward: one open item per flow, append only */
    uint8_t disable_prepend;
    /* never verify: every packet comes from an authenticated or internal source. Superpackets get
       new checksums, so wrong checksums show only in packets that stay alone. Not for packets with
       an IPv6 Home Address option (RFC 6275): their checksum covers another address */
    uint8_t trust_checksums;
    uint8_t virtio_guest;        /* num_buffers is 1 for virtio 1.x guests, if the header has it */
    /* UDP over IPv4 without a checksum merges, also with datagrams that have one, but not inside
       tunnels. Each datagram of a superpacket leaves with a valid checksum, also if it was
       corrupted before it came */
    uint8_t merge_zero_csum4;
    /* TCP superpackets get a complete checksum and a zero vnet header. UDP never merges. Only for
       end points that take packets above the MTU (lwIP, gVisor, WinTUN), up to max_bytes: a device
       that forwards drops or fragments them. The checksum comes from those of the segments, which
       must be right in trusted packets as well */
    uint8_t finish_checksum;
    /* A packet with one of these ports as source or destination does not merge. UDP ports of local
       tunnel endpoints, for some kernels before 6.8.5: 4789 8472 6081 4500 (manual, LIMITS). */
    uint8_t tcp_excluded_port_count, udp_excluded_port_count; /* 0..TUO_EXCLUDED_PORTS_MAX */
    uint16_t tcp_excluded_ports[TUO_EXCLUDED_PORTS_MAX];
    uint16_t udp_excluded_ports[TUO_EXCLUDED_PORTS_MAX];
    /* Destination ports of VXLAN (4789) and Geneve (6081): coalesce inside these tunnels (manual,
       UDP TUNNELS). Needs vnet_hdr_len 24 or no_vnet_hdr, and a device that takes tunnel types. In
       tuo_tun_desc.gro: needs udp_tunnels. If the device takes no tunnel types: no effect. */
    uint8_t vxlan_port_count, geneve_port_count; /* 0..TUO_TUNNEL_PORTS_MAX */
    /* 1: for a Linux TUN device (not TAP). outer_th_offset is then 14 too much (K 1.30). */
    uint8_t tunnels_for_tun;
    uint16_t vxlan_ports[TUO_TUNNEL_PORTS_MAX], geneve_ports[TUO_TUNNEL_PORTS_MAX];
} tuo_gro_desc;

/* GRO counters since init; the library never resets them. */
typedef struct tuo_gro_stats {
    uint64_t packets_in, bytes_in;    /* taken by push (NO_ROOM and PIECES not counted) */
    uint64_t packets_out, bytes_out;  /* emitted; a superpacket counts once, vnet headers not */
    uint64_t superpackets;            /* emitted packets made of two or more */
    uint64_t merged_packets;          /* input packets inside superpackets */
    /* appends to a buffer that failed; the packets behind were emitted one by one */
    uint64_t append_failures;
    /* by copy: packets whose IP length exceeds their bytes by at most `offset`. Likely cause: the
       buffer's len does not count the headroom. Packets truncated before the push count as well */
    uint64_t headroom_short;
    uint64_t joined_items;            /* times that a late segment merged two held items into one */
    uint64_t verified_packets;        /* checksums computed: at most 1 per packet, 3 per push */
    uint64_t item_checks;             /* items compared: at most max_items_per_flow per push */
    tuo_flow_stats flow;
    uint64_t verdicts[TUO_V_COUNT];
} tuo_gro_stats;

/* A packet for tuo_gro_push_batch. */
typedef struct tuo_packet {
    const void *bytes;
    size_t len;
    void *user;             /* handed back with the packet (tuo_superpacket.users) */
} tuo_packet;

/* A GRO instance, in caller-owned memory. One thread at a time; instances are independent. */
typedef struct tuo_gro tuo_gro;

/* One emitted packet, filled by tuo_gro_next. iov[0] may point into this struct: do not move the
   struct while iov is used. */
typedef struct tuo_superpacket {
    /* zero for a single packet, and with finish_checksum, except num_buffers with virtio_guest */
    tuo_vnet_hdr vnet;
    /* superpacket: iov[0] has the vnet header and all headers, the others have payload. Single
       packet: its vnet header, unless switched off, then its bytes, piece by piece */
    const tuo_iov *iov;
    size_t iov_count;
    size_t len;             /* bytes of all iovecs */
    size_t vnet_len;        /* bytes of the vnet header at the start of iov[0] */
    void *const *users;     /* the `user` of each packet, in segment order */
    size_t packet_count;    /* of users; 1: a single packet, byte-identical to the packet pushed */
    uint8_t tuoi_head[TUO_VNET_LEN_MAX + TUO_HEADER_MAX]; /* private storage behind iov[0] */
} tuo_superpacket;

/* Offloads of a device. Filled by tuo_tun_caps, or by hand for another device (a NIC's port, a
   stack, a virtual machine). Zero-initialised: a device for IP packets without offloads. Lengths of
   superpackets count the IP packet, without Ethernet header and tags. */
typedef struct tuo_caps {
    uint8_t ethernet;         /* 1: the device takes and delivers Ethernet frames; 0: IP packets */
    /* Transmit, 1: the device computes this checksum.
         tcp4 to udp6   from the pseudo-header sum in the checksum field
         ip4            of superpackets that the device segments; 0: the field must be right, as in
                        virtio */
    uint8_t tx_csum_ip4, tx_csum_tcp4, tx_csum_udp4, tx_csum_tcp6, tx_csum_udp6;
    /* Receive, 1: the device checks this checksum in packets that it delivers. It marks each packet
       as verified (DATA_VALID), or leaves the check to the receiver (NEEDS_CSUM).
         ip4            DATA_VALID covers the IPv4 header as well (tuo_rx_hint)
         tcp4 to udp6   a stack may leave out its own check */
    uint8_t rx_csum_ip4, rx_csum_tcp4, rx_csum_udp4, rx_csum_tcp6, rx_csum_udp6;
    /* 1: sums from csum_start into csum_offset, whatever the packet is (virtio, TUN). Implies
       tx_csum_tcp4 to tx_csum_udp6. The next two members do not limit these checksums */
    uint8_t tx_csum_any;
    /* 1: offloads work behind IPv6 extension headers. Behind a routing header with segments left
       only tx_csum_any works: the checksum covers the final destination, and the IP header has
       another address */
    uint8_t tx_ip6_ext;
    uint8_t tx_vlan_max;      /* VLAN tags that offloads work behind; 0..TUO_VLAN_MAX */
    /* 1: inserts an 802.1Q tag (type 0x8100) that is not among the bytes (tuo_tx_packet.vlan_tci).
       The outermost tag of a frame is left to it and does not count for tx_vlan_max */
    uint8_t tx_vlan_insert;
    /* 1: segmenting leaves CWR on the first segment only (Linux NETIF_F_TSO_ECN, virtio HOST_ECN).
       A superpacket with CWR gets the ECN bit. 0: the segment with CWR is handed out first, by
       itself */
    uint8_t tso_cwr;
    /* pseudo-header sum of a superpacket. 1: without the length (DPDK, NICs). 0: with the length of
       the superpacket (virtio) */
    uint8_t tso_sum_no_len;
    /* bytes of the largest superpacket that the device segments; 0 = none. From 65536 on the device
       takes an IP length of 0. Needs the checksum offload of that kind: segments need checksums */
    uint32_t max_tcp4, max_tcp6, max_udp4, max_udp6;
    uint32_t min_seg_size, max_seg_size; /* bounds of gso_size; 0 = any */
    uint32_t max_segs;        /* TCP segments of one superpacket; 0 = any number */
    uint32_t max_udp_segs;    /* datagrams of one superpacket; 0 = any number */
    /* header bytes of a superpacket, from the first byte to the payload of TCP or UDP; 0 = any */
    uint32_t max_hdr_len;
    /* bytes of the longest IP packet that the device sends; 0 = no limit. All bytes behind Ethernet
       header and tags count, whatever they are. Of a superpacket, its segments count */
    uint32_t mtu;
    /* pieces in memory of one packet (scatter-gather); 0 = any number; 1 = contiguous only */
    uint32_t max_frags;
} tuo_caps;

/* One segment, filled by tuo_gso_next: the bytes of iov[0..iov_count) in order. */
typedef struct tuo_segment {
    tuo_iov iov[3];
    /* 1: the input as it is. 2: headers, payload. 3: input up to the checksum field, field, rest */
    size_t iov_count;
    size_t len;         /* bytes in total */
    size_t payload_len; /* TCP or UDP payload bytes of a cut segment; 0 if the packet was not cut */
} tuo_segment;

/* A split in progress, about 360 bytes. Public so that it can live on the stack; its members are
   private and may change. A copy is a saved position. */
typedef struct tuo_gso {
    const uint8_t *tuoi_pkt;
    const struct tuoi_sums *tuoi_sums;
    size_t tuoi_pkt_len;        /* bytes from there on; if it is cut, to the end of the IP packet */
    uint32_t tuoi_hdr_len;      /* bytes in front of the payload */
    uint32_t tuoi_payload_len;
    uint32_t tuoi_gso_size;     /* at most payload_len */
    uint32_t tuoi_seg_count;
    uint32_t tuoi_next_idx;     /* segment that comes next */
    uint32_t tuoi_ip_off, tuoi_l4_off;
    uint32_t tuoi_seq;          /* of the first segment */
    uint32_t tuoi_pseudo_raw;   /* raw sum of the pseudo-header of a full segment */
    uint32_t tuoi_l4_raw;       /* with all that full segments share in their TCP or UDP headers */
    uint32_t tuoi_ip_raw;       /* all that full segments share in their IPv4 headers */
    uint32_t tuoi_csum_start, tuoi_csum_offset;
    /* headers around a packet in a UDP tunnel */
    uint32_t tuoi_outer_ip_off, tuoi_outer_l4_off;
    uint32_t tuoi_outer_pseudo_raw; /* raw sum of the pseudo-header, without the length */
    uint32_t tuoi_outer_ip_raw;
    uint16_t tuoi_outer_ip_id;
    uint16_t tuoi_ip_id;
    uint8_t tuoi_outer_kind;    /* NONE = no tunnel */
    uint8_t tuoi_outer_csum;    /* the outer UDP checksum is computed; otherwise it stays 0 */
    uint8_t tuoi_tcp_flags;
    uint8_t tuoi_kind;          /* tuo_kind; NONE = not cut */
    uint8_t tuoi_fill_csum;     /* not cut, but the checksum must be completed */
    uint8_t tuoi_pseudo;        /* TUO_F_PSEUDO */
    uint16_t tuoi_left_out;     /* header bytes that no segment gets; tuoi_pkt is behind as many */
    uint8_t tuoi_hdr[TUO_HEADER_MAX];
} tuo_gso;

/* One packet for a device, filled by tuo_tx_next: its bytes, and the work left to the device. A tag
   that the device inserts is not among the bytes. No length or offset counts it, except
   wire_len_max. */
typedef struct tuo_tx_packet {
    tuo_iov iov[4];
    size_t iov_count;
    size_t len;            /* bytes in total */
    /* bytes of the longest frame that the device sends for it: a segment, if it makes segments.
       With Ethernet header and all tags, without frame check sequence */
    size_t wire_len_max;
    tuo_vnet_hdr vnet;     /* left to the device: NEEDS_CSUM, GSO type and size; zero: nothing */
    uint32_t seg_count;    /* segments that the device makes of it; 1 if it does not segment it */
    /* for descriptors, in bytes; all three are 0 if kind is NONE */
    uint16_t l2_len;       /* Ethernet header and tags */
    uint16_t l3_len;       /* IP header with options or extension headers */
    uint16_t l4_len;       /* TCP with options, or UDP */
    /* tuo_kind. NONE: nothing is left, or a checksum that only vnet locates (tx_csum_any) */
    uint8_t kind;
    uint8_t csum_ip4;      /* 1: the device computes the IPv4 header checksum; the field holds 0 */
    uint8_t vlan_insert;   /* 1: the device inserts type 0x8100 and vlan_tci behind the addresses */
    uint16_t vlan_tci;     /* priority and VLAN, as in the tag; 0 without vlan_insert */
} tuo_tx_packet;

/* A transmit in progress, about 490 bytes. Public so that it can live on the stack; its members are
   private and may change. */
typedef struct tuo_tx {
    tuo_gso tuoi_gso;           /* if it leaves as superpackets: its bytes and headers only */
    tuo_pkt_info tuoi_info;     /* kind NONE: no headers that the device could offload */
    tuo_vnet_hdr tuoi_vnet;     /* left to the device for segments and uncut packets */
    uint32_t tuoi_gso_size;
    uint32_t tuoi_pseudo_sum;   /* if it leaves as superpackets; without the length */
    uint32_t tuoi_seg_count;    /* if it leaves as superpackets; 0: as tuoi_gso has it */
    uint32_t tuoi_next_seg;     /* first segment that has not left yet */
    uint32_t tuoi_unit_segs;    /* segments of a superpacket that does not take all that is left */
    uint32_t tuoi_segs_max, tuoi_payload_max; /* of a superpacket */
    uint32_t tuoi_frags_max;    /* 0: any number */
    uint8_t tuoi_first_alone;   /* the first segment has CWR, which the device would copy */
    uint8_t tuoi_csum_ip4, tuoi_sum_no_len; /* as in tuo_caps */
    uint8_t tuoi_vlan_insert;   /* the outermost tag is left to the device */
    uint16_t tuoi_vlan_tci;
} tuo_tx;

/* Callback of tuo_tx_queue_init, and its queue. The queue's members are private. */
typedef size_t (*tuo_send_batch)(void *user, void *const *packets, size_t count);
typedef struct tuo_tx_queue {
    tuo_send_batch tuoi_send;
    void *tuoi_user;
    void **tuoi_slots;
    size_t tuoi_capacity, tuoi_head, tuoi_count;
} tuo_tx_queue;

/* A received packet: borrowed bytes, and the handle for giving them back. */
typedef struct tuo_rx_packet {
    const uint8_t *bytes;
    size_t len;
    tuo_vnet_hdr vnet;     /* metadata of the device: DATA_VALID, NEEDS_CSUM, GSO type */
    void *user;            /* the mbuf, the descriptor, ...: passed through by the library */
} tuo_rx_packet;

/* Callback of tuo_rx_queue_init, and its queue. The queue's members are private. */
typedef size_t (*tuo_recv_batch)(void *user, tuo_rx_packet *packets, size_t count);
typedef struct tuo_rx_queue {
    tuo_recv_batch tuoi_recv;
    void *tuoi_user;
    tuo_rx_packet *tuoi_slots;
    size_t tuoi_capacity, tuoi_head, tuoi_count;
} tuo_rx_queue;

/* ---------------------------------------------------------------------------------------- >>api */
/* Common to all functions of the core: none allocates, blocks, logs, or touches errno or global
   state. A pointer may be NULL only where its length is 0 or the comment says so. A negative result
   leaves the out-parameters untouched, unless the comment says otherwise. */

/* tuo_version: TUO_VERSION of the compiled implementation, to compare with that of the
   declarations. */
TUO_API int tuo_version(void);

/* For callers without a C parser (bindings).
   tuo_sizeof      bytes of a public struct as this build has it; 0 for a number that is no tuo_size
   tuo_simd_flag   TUO_F_SIMD(level) as a function */
typedef enum tuo_size {
    TUO_SIZE_VNET_HDR, TUO_SIZE_PKT_INFO, TUO_SIZE_FLOW_KEY, TUO_SIZE_FLOW_EVICTED, TUO_SIZE_FLOW_STATS,
    TUO_SIZE_GRO_DESC, TUO_SIZE_GRO_STATS, TUO_SIZE_SUPERPACKET, TUO_SIZE_SEGMENT, TUO_SIZE_GSO,
    TUO_SIZE_CAPS, TUO_SIZE_TX, TUO_SIZE_TX_PACKET, TUO_SIZE_TX_QUEUE, TUO_SIZE_RX_PACKET, TUO_SIZE_RX_QUEUE,
    TUO_SIZE_UDP_LIMITS, TUO_SIZE_UDP_SLOT, TUO_SIZE_UDP_TRAIN,
    /* 0 without TUNOFFLOAD_TUN */
    TUO_SIZE_TUN_DESC, TUO_SIZE_TUN_INFO, TUO_SIZE_TUN_RX_STATS, TUO_SIZE_TUN_TX_STATS, TUO_SIZE_TUN_PARTS,
    TUO_SIZE_TUN_PROBE_REPORT, TUO_SIZE_TUN_FAILURE,
    /* 0 without TUNOFFLOAD_UDP */
    TUO_SIZE_UDP_DESC, TUO_SIZE_UDP_PEER, TUO_SIZE_UDP_DATAGRAM, TUO_SIZE_UDP_LOST, TUO_SIZE_UDP_INFO,
    TUO_SIZE_UDP_RX_STATS, TUO_SIZE_UDP_TX_STATS,
    TUO_SIZE_COUNT, /* number of sizes; not a size */
    TUOI_SIZE_ANY_INT = -0x7FFFFFFF - 1 /* private, as above */
} tuo_size;
TUO_API size_t tuo_sizeof(tuo_size which);
TUO_API unsigned tuo_simd_flag(tuo_simd level);

/* Name of a result or verdict ("E_TRUNCATED", "SEQ_GAP"), and its text of one line. Static strings;
   "?" for any other number. */
TUO_API const char *tuo_result_name(tuo_result result);
TUO_API const char *tuo_result_text(tuo_result result);
TUO_API const char *tuo_verdict_name(tuo_verdict verdict);
TUO_API const char *tuo_verdict_text(tuo_verdict verdict);

/* --- Checksums. A sum is a 16-bit one's complement sum (RFC 1071), folded and not complemented: on
   every machine the number that a big-endian reader sees. The checksum field holds ~sum. --- */

/* tuo_csum: sum of big-endian 16-bit words, plus initial. An odd last byte is padded with 0.
   Reads     bytes[0..len)
   Returns   the folded sum; 0 only if every word and initial are 0. Chaining is exact if all pieces
             but the last have even length
   Sources   RFC 1071 1, 2 */
TUO_API uint16_t tuo_csum(const void *bytes, size_t len, uint16_t initial);

/* tuo_csum_copy: the sum of src, copied to dst in the same pass over memory.
   Writes    dst[0..len); must not overlap src
   Returns   as tuo_csum */
TUO_API uint16_t tuo_csum_copy(const void *src, size_t len, uint16_t initial, void *dst);

/* tuo_csum_pseudo: sum of the TCP or UDP pseudo-header.
   Reads     src and dst, addr_len bytes each: 4 (IPv4) or 16 (IPv6). Another addr_len sums as
             many bytes
   l4_len    bytes of TCP or UDP header and payload
   Returns   the folded sum: the checksum field of a packet with NEEDS_CSUM
   Sources   RFC 9293 3.1, RFC 768, RFC 8200 8.1 */
TUO_API uint16_t tuo_csum_pseudo(const void *src, const void *dst, size_t addr_len, uint8_t proto, uint32_t l4_len);

/* tuo_csum_update16, tuo_csum_update32: the checksum field (not the sum) after a 16- or 32-bit word
   of the data changed.
   Returns   the new field; the old field if the words are equal. If the data became all zero: 0,
             where a new sum would give 0xffff
   UDP       a field of 0 means "no checksum": do not update it. Write a new 0 as 0xffff
   Partial   a field with NEEDS_CSUM holds a sum, not its complement. Its new value is
             ~tuo_csum_update16(~field, ...)
   Sources   RFC 1624 3, equation 3 */
TUO_API uint16_t tuo_csum_update16(uint16_t checksum, uint16_t old_word, uint16_t new_word);
TUO_API uint16_t tuo_csum_update32(uint16_t checksum, uint32_t old_word, uint32_t new_word);

/* tuo_simd_best: the highest level that this build, processor and operating system have, for
   TUO_F_SIMD and tuo_gro_desc.
   tuo_simd_usable: 1 if this build, processor and operating system have the level (DETECT: always).
   Cost      CPUID and XGETBV on x86: up to a few microseconds in a virtual machine. Nothing is
             cached: call it once */
TUO_API tuo_simd tuo_simd_best(void);
TUO_API int tuo_simd_usable(tuo_simd level);

/* tuo_csum_check: are the checksums of this packet right? Checks the IPv4 header, then TCP or UDP.
   Fragments, other protocols and routing headers with segments left: the IPv4 header only.
   Flags     TUO_F_ETHERNET, TUO_F_SIMD
   Returns   right: TUO_OK
             the IPv4 header checksum is wrong: TUO_E_IP_CSUM
             the TCP or UDP checksum is wrong: TUO_E_L4_CSUM
             tuo_parse refuses the packet: its result
   UDP       a checksum of 0 over IPv4 means "none" and is right. Over IPv6 it is wrong here, though
             RFC 6935 allows it for tunnels
   Note      IPv4 source routes and the IPv6 Home Address option (RFC 6275) are not read. A checksum
             that covers their addresses counts as wrong
   Cost      one pass over the packet */
TUO_API TUO_MUST_CHECK tuo_result tuo_csum_check(const void *pkt, size_t len, unsigned flags);

/* tuo_csum_complete: finish a partial checksum. Sums pkt[csum_start..len), the pseudo-header sum in
   the field included, and writes the complement there; 0 is written as 0xffff. The packet is not
   parsed: csum_start may be in an inner packet.
   Writes    two bytes at csum_start + csum_offset
   Returns   done: TUO_OK
             csum_start + csum_offset + 2 > len: TUO_E_CSUM_RANGE. Nothing is written
   Sources   virtio 1.3 5.1.6.2; linux net/core/dev.c skb_checksum_help */
TUO_API TUO_MUST_CHECK tuo_result tuo_csum_complete(void *pkt, size_t len, size_t csum_start, size_t csum_offset);

/* --- virtio-net header --- */

/* tuo_vnet_decode: vnet header from wire bytes to host order. Values are not judged (see
   tuo_vnet_check).
   Reads     bytes[0..vnet_hdr_len)
   Returns   *vnet is filled, with 0 in fields that the layout does not have: TUO_OK
             vnet_hdr_len is not 10, 12, 20 or 24, or order is unknown: TUO_E_INVALID
             len < vnet_hdr_len: TUO_E_TRUNCATED */
TUO_API TUO_MUST_CHECK tuo_result tuo_vnet_decode(const void *bytes, size_t len, size_t vnet_hdr_len, tuo_order order,
                                                  tuo_vnet_hdr *vnet);

/* tuo_vnet_encode: vnet header from host order to wire bytes.
   Writes    bytes[0..vnet_hdr_len); fields that the layout does not have are left out
   Returns   written: TUO_OK
             vnet_hdr_len is not 10, 12, 20 or 24, or order is unknown: TUO_E_INVALID
             capacity < vnet_hdr_len: TUO_E_NOSPACE */
TUO_API TUO_MUST_CHECK tuo_result tuo_vnet_encode(const tuo_vnet_hdr *vnet, size_t vnet_hdr_len, tuo_order order,
                                                  void *bytes, size_t capacity);

/* tuo_vnet_check: does this header fit this packet?
   Flags     TUO_F_ETHERNET. TUO_F_WRITE refuses also what Linux refuses, drops or corrupts when the
             packet is written to a TUN or TAP device
   Small     with 0 to gso_size bytes of payload, the GSO type is ignored, as in Linux. The packet
             counts as an ordinary packet
   Length 0  an IP length of 0 is accepted as by TUO_F_SUPERPACKET

   Tunnel    a type with a UDP tunnel bit is that of the inner packet, and the rules below are for
             the inner packet. Bytes between the outer UDP header and the inner IP header are not
             looked at. A tunnel bit alone marks a single packet, which counts as an ordinary one

   Returns   the first that applies:
     gso_type has the AccECN bit (0x10): TUO_E_VNET_ACCECN
     gso_type has both UDP tunnel bits: TUO_E_VNET_TUNNEL
     gso_type has a UDP tunnel bit, and TUO_F_WRITE is set: TUO_E_VNET_TUNNEL
     gso_type is legacy UFO: TUO_E_VNET_UFO
     gso_type is unknown: TUO_E_VNET_GSO_TYPE
     gso_type has the ECN bit without TCP: TUO_E_VNET_ECN
     gso_size is 0 or 65535, with a GSO type: TUO_E_VNET_GSO_SIZE
     NEEDS_CSUM, and csum_start + csum_offset + 2 > len: TUO_E_CSUM_RANGE
   With a GSO type in a tunnel:
     tuo_parse refuses the outer packet: its result
     the outer packet is a fragment: TUO_E_VNET_FRAGMENT
     the outer packet is not UDP, or of the other IP version: TUO_E_VNET_TUNNEL
     the outer UDP length is not that of the IP payload: TUO_E_UDP_LENGTH
     outer_th_offset is not the outer UDP header: TUO_E_VNET_TUNNEL. 4 bytes less are right behind a
     VLAN tag: Linux does not count a tag that it inserts
     inner_nh_offset is in the outer headers, or beyond the packet: TUO_E_VNET_TUNNEL
     an outer UDP checksum without TUO_VNET_UDP_TUNNEL_CSUM: TUO_E_VNET_TUNNEL
     bytes behind the inner IP packet: TUO_E_IP_LENGTH
   With a GSO type:
     tuo_parse refuses the packet: its result
     a fragment: TUO_E_VNET_FRAGMENT
     another protocol than that of gso_type: TUO_E_VNET_PROTOCOL
     another IP version than that of gso_type: TUO_E_VNET_IP_VERSION
     UDP or a tunnel without NEEDS_CSUM: TUO_E_VNET_NEEDS_CSUM
     NEEDS_CSUM, and csum_start is not the TCP or UDP header: TUO_E_VNET_CSUM_START
     NEEDS_CSUM, and csum_offset is not 16 (TCP) or 6 (UDP): TUO_E_VNET_CSUM_OFFSET
     not small, and headers longer than TUO_HEADER_MAX: TUO_E_HEADER_TOO_LONG
     not small, and segments too long for an IP packet, the outer one of a tunnel:
     TUO_E_VNET_GSO_SIZE
   With TUO_F_WRITE:
     the packet is empty, or shorter than its Ethernet header: TUO_E_TRUNCATED
     no Ethernet header, and a first nibble that is not 4 or 6: TUO_E_NOT_IP
     hdr_len > len: TUO_E_VNET_HDR_LEN
     NEEDS_CSUM, and csum_start is below 20 or above 65276: TUO_E_VNET_CSUM_START
     no NEEDS_CSUM, an Ethernet header, and a hdr_len of 1 to 13: TUO_E_VNET_HDR_LEN
     NEEDS_CSUM without GSO type, and the field is behind the IP packet: TUO_E_CSUM_RANGE
   With a GSO type and TUO_F_WRITE:
     IP length 0, unless of an IPv4 TCP superpacket: TUO_E_IP_LENGTH
     bytes behind the IP packet in an Ethernet frame: TUO_E_IP_LENGTH
     the UDP length is not that of the IP payload: TUO_E_UDP_LENGTH
     a routing header with segments left, no NEEDS_CSUM: TUO_E_VNET_NEEDS_CSUM
     no payload, but Linux counts more than gso_size bytes: TUO_E_VNET_NO_PAYLOAD
     small, but Linux counts more than gso_size bytes: TUO_E_VNET_GSO_SIZE
     UDP, and Linux counts more than 128 segments: TUO_E_VNET_SEG_LIMIT
   Otherwise:
     the header fits: TUO_OK

   Linux     counts as payload all bytes from csum_start on, less 20 (TCP) or 8 (UDP). So TCP
             options and bytes behind the IP packet count. Without NEEDS_CSUM: len - 20 (K 1.8,
             1.28)
   hdr_len   checked with TUO_F_WRITE only: a hint, which Linux fills with other things
   Sources   linux include/linux/virtio_net.h __virtio_net_hdr_to_skb, drivers/net/tun.c
             tun_get_user */
TUO_API TUO_MUST_CHECK tuo_result tuo_vnet_check(const tuo_vnet_hdr *vnet, const void *pkt, size_t len, unsigned flags);

/* --- Parser --- */

/* tuo_parse: find and check the headers of one packet. Checksums are not verified.
   Reads     pkt[0..len), headers only; len up to 2^31-1
   Flags     TUO_F_ETHERNET, TUO_F_SUPERPACKET
   Returns   *info is filled, also for packets that are not TCP or UDP: TUO_OK
             len is larger: TUO_E_INVALID
             a header is broken: TUO_E_NOT_IP, _TRUNCATED, _VLAN_DEPTH, _IP_HEADER, _IP_LENGTH,
             _IP6_EXT, _TCP_HEADER, _UDP_LENGTH (see TUO_RESULTS)
   Note      even the first fragment of a datagram has kind NONE: its length fields do not fit the
             datagram
   Sources   RFC 791 3.1; RFC 8200 3, 4; RFC 9293 3.1; RFC 768; IEEE 802.1Q 9 */
TUO_API TUO_MUST_CHECK tuo_result tuo_parse(const void *pkt, size_t len, unsigned flags, tuo_pkt_info *info);

/* --- Flow table --- */

/* tuo_flow_table_memory_size: bytes of memory for tuo_flow_table_init; 0 if max_flows is not in
   1..65536. The memory has room for at least twice max_flows entries, in buckets, so max_flows live
   entries rarely displace each other. */
TUO_API size_t tuo_flow_table_memory_size(uint32_t max_flows);

/* tuo_flow_table_init: make an empty table in mem.
   seed      a number that an attacker cannot guess
   Returns   *table is set: TUO_OK
             max_flows is out of range, or mem is not aligned for uint64_t: TUO_E_INVALID
             mem_len < tuo_flow_table_memory_size(max_flows): TUO_E_NOSPACE
   Ownership mem stays caller-owned; there is nothing to free. *table points into mem: do not move
             mem */
TUO_API TUO_MUST_CHECK tuo_result tuo_flow_table_init(tuo_flow_table **table, void *mem, size_t mem_len,
                                                      uint32_t max_flows, uint64_t seed);

/* tuo_flow_table_find: the value of key, or NULL. The pointer is valid until the next insert,
   remove or reset.
   Cost      one hash, at most TUO_FLOW_WAYS probes */
TUO_API uint32_t *tuo_flow_table_find(tuo_flow_table *table, const tuo_flow_key *key);

/* tuo_flow_table_insert: the value of key; 0 if key was added now. Never fails: if the bucket of
   the key has TUO_FLOW_WAYS entries, the oldest entry is displaced.
   Writes    *evicted (may be NULL): the entry that was displaced, if any
   Returns   a pointer as tuo_flow_table_find
   Cost      one hash, at most TUO_FLOW_WAYS probes */
typedef struct tuo_flow_evicted {
    int happened;     /* 1: an entry was displaced, with this key and value */
    tuo_flow_key key;
    uint32_t value;
} tuo_flow_evicted;
TUO_API uint32_t *tuo_flow_table_insert(tuo_flow_table *table, const tuo_flow_key *key, tuo_flow_evicted *evicted);

/* tuo_flow_table_remove: 1 if key was there, otherwise 0. */
TUO_API int tuo_flow_table_remove(tuo_flow_table *table, const tuo_flow_key *key);

/* tuo_flow_table_reset: empty the table. Cost: constant, whatever the size of the table. */
TUO_API void tuo_flow_table_reset(tuo_flow_table *table);

/* tuo_flow_table_count: live entries. tuo_flow_table_query_stats: work done since init. */
TUO_API uint32_t tuo_flow_table_count(const tuo_flow_table *table);
TUO_API void tuo_flow_table_query_stats(const tuo_flow_table *table, tuo_flow_stats *stats);

/* tuo_flow_key_from_packet: fill *key from a parsed TCP or UDP packet; extra and extra16 are 0.
   Returns   filled: TUO_OK
             info->kind is NONE: TUO_E_INVALID */
TUO_API TUO_MUST_CHECK tuo_result tuo_flow_key_from_packet(const void *pkt, const tuo_pkt_info *info,
                                                           tuo_flow_key *key);

/* --- GRO --- */

/* tuo_gro_memory_size: bytes of memory for tuo_gro_init; 0 if the desc is out of range. About 170
   bytes per packet and 40 to 80 per flow: 50 KiB for the zero desc on a 64-bit machine. */
TUO_API size_t tuo_gro_memory_size(const tuo_gro_desc *desc);

/* tuo_gro_init: make an instance in mem.
   Returns   *gro is set: TUO_OK
             a member of the desc is out of range: TUO_E_INVALID
             the simd level is not usable, or mem is not aligned for uint64_t: TUO_E_INVALID
             mem_len < tuo_gro_memory_size(desc): TUO_E_NOSPACE
   Ownership mem stays caller-owned and must not move while in use. The only state is in mem, so
             there is nothing to free */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_init(tuo_gro **gro, void *mem, size_t mem_len, const tuo_gro_desc *desc);

/* tuo_gro_reconfigure: replace limits and switches between two batches. Capacities must be 0 or as
   at init.
   Returns   done: TUO_OK
             a member is out of range, or a capacity differs: TUO_E_INVALID
             packets are held: TUO_E_INVALID
   After a failure the old configuration stays in effect. */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_reconfigure(tuo_gro *gro, const tuo_gro_desc *desc);

/* tuo_gro_query_desc: the effective configuration, defaults filled in. tuo_gro_query_stats:
   counters since init. */
TUO_API void tuo_gro_query_desc(const tuo_gro *gro, tuo_gro_desc *desc);
TUO_API void tuo_gro_query_stats(const tuo_gro *gro, tuo_gro_stats *stats);

/* tuo_gro_reset: forget every held packet without emitting it. The packets are caller-owned as
   before; the counters stay. */
TUO_API void tuo_gro_reset(tuo_gro *gro);

/* tuo_gro_push: one packet in.
   Reads     pkt[0..len): headers now, the payload if a checksum must be verified. Any bytes of any
             length are allowed
   user      handed out with the packet, in sp->users
   Hint      TUO_F_TRUST: all checksums of this packet are known to be right. TUO_F_TRUST_L4: its
             TCP or UDP checksum is. Otherwise 0. For packets of a device: tuo_rx_hint
   Returns   held until tuo_gro_next emits the packet: any verdict but TUO_V_NO_ROOM
             not taken, max_packets were pushed since the last TUO_DONE: TUO_V_NO_ROOM
   Ownership the bytes stay caller-owned. They must not change or move until the caller has used the
             emitted packet whose users contain `user`
   Order     packets of a flow are emitted in the order of their pushes. Only a late TCP segment may
             move forward, in front of segments whose bytes follow its own
   Cost      at most TUO_HEADER_MAX header bytes, a bucket of TUO_FLOW_WAYS flows,
             max_items_per_flow items, 3 checksums (one per packet). With tuo_gro_push_buf also
             copies of two payloads
   Sources   TUO_VERDICTS, row by row */
TUO_API tuo_verdict tuo_gro_push(tuo_gro *gro, const void *pkt, size_t len, void *user, unsigned hint);

/* tuo_gro_push_batch: many packets in, as tuo_gro_push one after the other. Faster, above all for
   packets that are not in the cache: headers are fetched some packets ahead.
   Reads     packets[0..count); the array is not kept
   Out       verdicts: NULL, or one per packet taken
   Returns   the number of packets taken, from the front. Less than count: the instance is full
             (NO_ROOM is counted once). Drain, then push the rest */
TUO_API TUO_MUST_CHECK size_t tuo_gro_push_batch(tuo_gro *gro, const tuo_packet *packets, size_t count, unsigned hint,
                                                 tuo_verdict *verdicts);

/* tuo_gro_push_iov: one packet in pieces, as tuo_gro_push without a copy. For chains of lwIP
   (pbuf), BSD or DPDK (mbuf).
   Reads     iov[0]: headers now. All pieces, if a checksum must be verified
   iov       all headers are in iov[0]: a packet with a header that is cut never merges. The other
             pieces are cut anywhere and may be empty. One piece: the same as tuo_gro_push
   Limits    a packet in k pieces counts as k packets against max_packets, and as k iovecs against
             max_frags
   Returns   held until tuo_gro_next emits the packet: any verdict but these two
             not taken, fewer than iov_count packets fit before the next TUO_DONE: TUO_V_NO_ROOM
             not taken, iov_count is 0 or above max_packets or max_frags, or the pieces have 2^31
             bytes or more: TUO_V_PIECES. Draining does not help; push the packet as one piece
   Ownership the bytes and the array iov stay caller-owned. Neither may change or move until the
             caller has used the emitted packet whose users contain `user`
   Drain     tuo_gro_next, _next_batch. Empty pieces are not emitted, nor those with headers only
   Cost      as tuo_gro_push by the slow path; one iovec for each piece at the drain */
TUO_API tuo_verdict tuo_gro_push_iov(tuo_gro *gro, const tuo_iov *iov, size_t iov_count, void *user, unsigned hint);

/* tuo_gro_next: the next packet out. The first call after a push closes all flows: later packets
   join nothing that was pushed before.
   Writes    *sp: vnet header, iovecs, users
   Returns   a packet: TUO_OK
             nothing is held any more: TUO_DONE. *sp is untouched
   Order     the position of a superpacket is that of its first pushed packet. The items of one TCP
             flow fill their positions in sequence order
   Ownership sp->iov and sp->users stay valid until the first push or reset after TUO_DONE. iov[0]
             may point into *sp: to send several superpackets at once, use one tuo_superpacket for
             each
   Note      tuo_gro_next also drains packets of tuo_gro_push_buf, but max_frags did not limit them
   Sources   virtio 1.3 5.1.6.2 (header); linux tcp_offload.c tcp4_gro_complete, udp_offload.c
             udp_gro_complete */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_next(tuo_gro *gro, tuo_superpacket *sp);

/* tuo_gro_next_batch: many packets out, as tuo_gro_next one after the other.
   Writes    sps[0..returned)
   Returns   the number of packets, at most count. Less than count: nothing is held any more */
TUO_API TUO_MUST_CHECK size_t tuo_gro_next_batch(tuo_gro *gro, tuo_superpacket *sps, size_t count);

/* tuo_gro_push_buf, tuo_gro_next_copy: the same by copy. The packet is in a caller-owned buffer,
   behind offset bytes of headroom. At the drain the buffer of the first packet has the payloads of
   the superpacket. `user` of these packets is buf.
   Limit     the capacity of the first buffer, asked at its push (TUO_V_CAP_BUFFER)
   Writes    push_buf, tuo_buf only: bytes behind the len of a buffer that was pushed before, up to
             its capacity. Its len changes at the drain
             next_copy: the buffer sp->users[0], with headers and payloads. The vnet header in front
             of the packet, if offset >= vnet_hdr_len and not no_vnet_hdr
   iov       sp->iov[0] is the whole packet with its vnet header; sp->iov_count is 1. For a buffer
             that chains pieces only the len of iov[0] is right: walk the chain
   Returns   push_buf: as tuo_gro_push
             next_copy: a packet: TUO_OK
             a callback failed: TUO_OK. The superpacket ends in front of the packet that could not
             be appended. The packets behind leave one by one (stats.append_failures)
             nothing is held any more: TUO_DONE
             tuo_gro_push was used since the last TUO_DONE: TUO_E_INVALID. Drain with tuo_gro_next
   Note      use the same ops and offset for push and drain. Do not mix with tuo_gro_push between
             two drains */
TUO_API tuo_verdict tuo_gro_push_buf(tuo_gro *gro, const tuo_buf_ops *ops, void *buf, size_t offset, unsigned hint);
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_next_copy(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset,
                                                    tuo_superpacket *sp);

/* tuo_gro_batch: coalesce a whole batch in place, by copy.
   Reads     bufs[0..count): handles that ops understands (tuo_buf * if ops is NULL). Each has
             offset bytes of headroom, then one packet
   count     any number: max_packets only limits which packets can merge
   Writes    to_write[0..*to_write_count): indices of the buffers to write, in order. to_write needs
             room for count entries
   Buffers   a listed buffer has its headroom, then a packet or superpacket. The vnet header is
             right in front of the packet, at offset - vnet_hdr_len. The others were merged into
             listed buffers
   Returns   done: TUO_OK
             packets of earlier pushes are held: TUO_E_INVALID
             no_vnet_hdr is set without finish_checksum, or offset < vnet_hdr_len if it is not set:
             TUO_E_INVALID. A superpacket that is not finished is useless without its vnet header
             (tuo_gro_next_copy returns the header apart)
   Cost      one copy of each merged payload. Two copies where an item of several packets joined
             another item or a late segment: the second at the drain
   Note      a buffer with less than offset bytes counts as an empty packet and is listed. A buffer
             whose len leaves out the headroom loses the end of its packet: stats.headroom_short */
TUO_API TUO_MUST_CHECK tuo_result tuo_gro_batch(tuo_gro *gro, const tuo_buf_ops *ops, void *const *bufs, size_t count,
                                                size_t offset, size_t *to_write, size_t *to_write_count);

/* tuo_gro_candidate: could this packet merge with a suitable neighbour, by the zero desc? Reads
   headers only.
   Flags     TUO_F_ETHERNET
   Returns   yes: TUO_V_HELD
             no: the verdict that says why */
TUO_API tuo_verdict tuo_gro_candidate(const void *pkt, size_t len, unsigned flags);

/* tuo_coalesce_account: finish a packet that the caller merged, in place. pkt has the headers of
   the first packet and the payloads of all.
   Reads     headers only: the caller has verified every checksum, and set FIN and PSH as in the
             last segment
   gso_size  payload bytes of each segment but the last
   Flags     TUO_F_ETHERNET
   Writes    IP length, IPv4 header checksum, UDP length; the pseudo-header sum over the full length
             in the TCP or UDP checksum field; *vnet
   Returns   finished: TUO_OK
             tuo_parse refuses the packet: its result
             a fragment: TUO_E_VNET_FRAGMENT
             not TCP or UDP, or a routing header with segments left: TUO_E_VNET_PROTOCOL
             headers longer than TUO_HEADER_MAX: TUO_E_HEADER_TOO_LONG
             gso_size is 0, 65535, or below 8 for TCP (K 1.9): TUO_E_VNET_GSO_SIZE
             a payload of up to gso_size, which is a single packet: TUO_E_INVALID
             more than 128 UDP segments: TUO_E_VNET_SEG_LIMIT
             an IP packet of more than 65535 bytes: TUO_E_IP_LENGTH
   After a failure nothing is written.
   Sources   linux tcp4_gro_complete, tcp6_gro_complete, udp_gro_complete_segment */
TUO_API TUO_MUST_CHECK tuo_result tuo_coalesce_account(void *pkt, size_t len, uint16_t gso_size, unsigned flags,
                                                       tuo_vnet_hdr *vnet);

/* --- GSO --- */

/* tuo_gso_init: plan the split of one packet with its vnet header.
   Reads     pkt[0..len); headers only, unless a checksum must be verified. pkt must not change
             while the split goes on
   Flags     TUO_F_ETHERNET; TUO_F_PSEUDO: segments get pseudo-header sums; TUO_F_TRUST: do not
             verify; TUO_F_STRIP_JUMBO; TUO_F_SIMD
   Returns   planned: TUO_OK
             tuo_vnet_check refuses the header: its result
             superpacket with a jumbo payload option that stays: TUO_E_IP6_JUMBO
             superpacket with a wrong IPv4 header checksum: TUO_E_IP_CSUM
             superpacket without NEEDS_CSUM, wrong TCP checksum: TUO_E_L4_CSUM
             superpacket without NEEDS_CSUM, behind a routing header with segments left:
             TUO_E_VNET_NEEDS_CSUM. Only a pseudo-header sum contains the final address
   Plan      superpacket: ceil(payload / gso_size) segments, at least 2
             NEEDS_CSUM only: one segment, the checksum completed (with TUO_F_PSEUDO: left as it is)
             neither: one segment, the input itself
   Tunnel    the rules apply to the inner packet. Outer lengths, IPv4 ID and checksums change as
             well; an outer UDP checksum of 0 stays 0 without TUO_VNET_UDP_TUNNEL_CSUM. With this
             flag a small packet, or a single one, is planned as one segment: the conditions of
             superpackets for headers, length and IPv4 header checksums apply. With TUO_F_PSEUDO
             only the inner checksum is left to a device
   Seed      with NEEDS_CSUM the checksums of segments are derived from the pseudo-header sum in the
             packet, as in Linux: a wrong sum stays wrong. A UDP sum includes the UDP length; if the
             UDP length is 0, the length of the IP payload
   Small     with 0 to gso_size bytes of payload, the GSO type is ignored, as in Linux. A pure ACK
             or a single datagram counts as an ordinary packet
   Lengths   as in Linux, the payload of UDP is the IP payload, whatever the UDP length says. With a
             GSO type, bytes beyond the IP packet are not part of the packet
   Jumbo     looked for in superpackets only, in a hop-by-hop header right behind the IPv6 header.
             With TUO_F_STRIP_JUMBO no segment gets this header: the next header field of the IPv6
             header takes its place, the payload length does not count it. The option stays if the
             flag is not given, or if the header has anything but this option and padding. In a
             tunnel superpacket it is looked for behind both IP headers, and always stays
   Sources   linux tcp_gso_segment, __udp_gso_segment, inet_gso_segment, ipv6_gso_segment */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_init(tuo_gso *gso, const void *pkt, size_t len, const tuo_vnet_hdr *vnet,
                                               unsigned flags);

/* tuo_gso_count: segments of the whole split, at least 1. tuo_gso_remaining: segments not yet
   handed out. */
TUO_API size_t tuo_gso_count(const tuo_gso *gso);
TUO_API size_t tuo_gso_remaining(const tuo_gso *gso);

/* tuo_gso_next: the next segment, its payload borrowed from the input. The input is not changed.
   Writes    *segment. The segment's headers to header (room for TUO_HEADER_MAX bytes). If header is
             NULL: into *gso, valid until the next call
   Returns   a segment: TUO_OK
             none is left: TUO_DONE. *segment is untouched
   Headers   copied, except: lengths; IPv4 ID plus the index of the segment; TCP sequence number;
             CWR only on the first segment, FIN and PSH only on the last; IPv4 header checksum; TCP
             or UDP checksum (UDP 0 as 0xffff)
   Cost      one pass over the payload for its sum; none with TUO_F_PSEUDO. None for the outer
             checksum of a tunnel
   Sources   linux net/ipv4/udp_offload.c __skb_udp_tunnel_segment */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_next(tuo_gso *gso, uint8_t *header, tuo_segment *segment);

/* tuo_gso_next_batch: many segments, each with headers of its own, as for one sendmmsg.
   Writes    headers[0..returned), segments[0..returned): as tuo_gso_next one after the other
   Returns   the number of segments, at most count. Less than count: all segments are out
   Ownership headers are caller-owned; the segments point into them and into the input */
TUO_API TUO_MUST_CHECK size_t tuo_gso_next_batch(tuo_gso *gso, uint8_t (*headers)[TUO_HEADER_MAX],
                                                 tuo_segment *segments, size_t count);

/* tuo_gso_next_in_place: the next segment as one contiguous piece of the input buffer. Its headers
   are written in front of its payload, over the end of the segment before, which must have been
   used by then.
   pkt       the buffer given to tuo_gso_init, now writable. Do not mix with tuo_gso_next on the
             same split
   Writes    *segment: data inside pkt, len; capacity = len
   Returns   a segment: TUO_OK
             none is left: TUO_DONE
             pkt is not the pointer given to tuo_gso_init: TUO_E_INVALID */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_next_in_place(tuo_gso *gso, void *pkt, tuo_buf *segment);

/* tuo_gso_split: copy segments into caller-owned buffers, each behind offset bytes of headroom.
   bufs      handles that ops understands (tuo_buf * if ops is NULL); must not overlap the input
   *written  buffers filled; set on every result
   Writes    bufs[0..*written): resized to offset + segment length; headroom is not touched
   Returns   no segment is left: TUO_OK
             count buffers are filled and segments are left: TUO_MORE
             bufs[*written] is too small for the next segment, and untouched: TUO_E_NOSPACE
             resize of bufs[*written] failed: TUO_E_BUFFER
   After any result *written buffers are complete. The next call goes on with the next segment.
   Cost      one pass: copy and sum together */
TUO_API TUO_MUST_CHECK tuo_result tuo_gso_split(tuo_gso *gso, const tuo_buf_ops *ops, void *const *bufs, size_t count,
                                                size_t offset, size_t *written);

/* --- Any device: capabilities, transmit, bursts --- */

/* tuo_caps_intersect: the offloads that both devices have, for ports that are used as one (bonding,
   failover).
   Writes    *both; may be a or b
   Returns   done: TUO_OK
             caps of a or b are out of range: TUO_E_INVALID
             one takes Ethernet frames and the other IP packets: TUO_E_INVALID
   Note      if tso_sum_no_len differs, or segment sizes do not overlap, no superpacket suits both:
             max_* are 0, and tso_sum_no_len (of a) means nothing */
TUO_API TUO_MUST_CHECK tuo_result tuo_caps_intersect(const tuo_caps *a, const tuo_caps *b, tuo_caps *both);

/* tuo_rx_hint: the hint for tuo_gro_push of a packet that a device delivered with this metadata.
   caps      may be NULL: a device that says nothing about IPv4 headers
   Returns   the first of these that applies:
             NEEDS_CSUM: 0. Complete the checksum first (tuo_csum_complete, tuo_gso_init), since a
             packet that does not merge leaves as it came
             superpacket (LRO, RSC): 0. Split it first. With DATA_VALID the split needs TUO_F_TRUST,
             as the checksum field may hold anything
             DATA_VALID and caps->rx_csum_ip4: TUO_F_TRUST
             DATA_VALID: TUO_F_TRUST_L4
             otherwise: 0 */
TUO_API unsigned tuo_rx_hint(const tuo_caps *caps, const tuo_vnet_hdr *vnet);

/* tuo_tso_prepare: turn one large TCP or UDP packet of a stack into a superpacket, and fill *vnet.
   The length fields in pkt are ignored: the packet is pkt[0..len).
   gso_size  payload bytes per segment (for TCP the MSS less options)
   caps      ethernet, and whether the device takes an IP length of 0. tuo_tx_init handles its other
             limits
   Writes    IP length, UDP length, IPv4 header checksum; the pseudo-header sum over the full length
             in the checksum field; *vnet
   Returns   prepared: TUO_OK
             caps are out of range: TUO_E_INVALID
             tuo_parse refuses the packet: its result
             an IPv4 header longer than the packet: TUO_E_IP_LENGTH
             a fragment: TUO_E_VNET_FRAGMENT
             not TCP or UDP, or a routing header with segments left: TUO_E_VNET_PROTOCOL
             headers longer than TUO_HEADER_MAX: TUO_E_HEADER_TOO_LONG
             gso_size is 0 or 65535, or segments exceed an IP packet: TUO_E_VNET_GSO_SIZE
             large, and longer than the limit of the device (max_tcp4, ...): TUO_E_IP_LENGTH
   After a failure nothing is written.
   Large     an IP packet beyond 65535 bytes (IPv6: payload) gets an IP length of 0 (BIG TCP).
             tuo_parse accepts this length only with TUO_F_SUPERPACKET. tuo_gso_init and tuo_tx_init
             always accept this length
   Small     0 to gso_size bytes of payload make an ordinary packet with a partial checksum
   Cost      headers only
   Sources   linux net/ipv4/tcp_output.c, net/ipv6/ip6_output.c (payload length 0) */
TUO_API TUO_MUST_CHECK tuo_result tuo_tso_prepare(void *pkt, size_t len, uint16_t gso_size, const tuo_caps *caps,
                                                  tuo_vnet_hdr *vnet);

/* tuo_tx_init: plan how this packet leaves by this device with the least work on the CPU.
     a superpacket that the device takes: whole
     a superpacket too large in bytes or segments: superpackets that the device takes
     a kind, segment size or header chain that the device does not segment: segments. Their
       checksums are left to the device if it can finish them, otherwise finished
     an ordinary packet with NEEDS_CSUM: its checksum is left to the device if it can finish it,
       otherwise finished. With bytes behind the IP packet only tx_csum_any can
     a superpacket in a UDP tunnel: segments. With tx_csum_any the inner checksum is left to the
       device
     any other bytes, ARP for instance: untouched
   Reads     pkt[0..len), with an Ethernet header if caps->ethernet is 1. pkt must not change while
             tuo_tx_next goes on. *vnet: its metadata in virtio's convention (tuo_tun_recv,
             tuo_tso_prepare, tuo_superpacket.vnet)
   Flags     TUO_F_TRUST, TUO_F_STRIP_JUMBO, TUO_F_SIMD, as for tuo_gso_init
   Returns   planned: TUO_OK
             caps are out of range: TUO_E_INVALID
             tuo_gso_init would refuse the packet: its result
             the packet, or a segment of gso_size bytes, is longer than caps->mtu: TUO_E_MTU
   After a failure *tx is unchanged, and the packet is the caller's: fragment it, or answer the
   sender ("fragmentation needed", "packet too big"). Segments are never made shorter than gso_size.
   Tag       with caps->tx_vlan_insert, an outermost tag of type 0x8100 is taken out of the bytes
             and described in tuo_tx_packet. It stays if a partial checksum covers it
   Wire      the device sends, byte for byte, the segments of tuo_gso_next. One exception: a TCP
             checksum of 0, which is as good as 0xffff. Segments get 0 here, ordinary packets 0xffff
             (as in Linux); a device may write either */
TUO_API TUO_MUST_CHECK tuo_result tuo_tx_init(tuo_tx *tx, const tuo_caps *caps, const void *pkt, size_t len,
                                              const tuo_vnet_hdr *vnet, unsigned flags);

/* tuo_tx_next: the next packet for the device, its payload borrowed.
   Writes    *packet. Changed headers, or two bytes of checksum, to header (room for TUO_HEADER_MAX
             bytes). If header is NULL: into *tx, valid until the next call
   Returns   a packet: TUO_OK
             none is left: TUO_DONE. *packet is untouched
             it would have more pieces than max_frags: TUO_E_UNSUPPORTED. Nothing is lost: go on
             with tuo_tx_next_in_place
   Pieces    2 of superpackets and segments: headers, payload. 1 of other packets, or 3 if their
             checksum is completed (as in tuo_segment); if their tag is left to the device, one more
             in front: the addresses
   Cost      headers only, if the device finishes the checksum */
TUO_API TUO_MUST_CHECK tuo_result tuo_tx_next(tuo_tx *tx, uint8_t *header, tuo_tx_packet *packet);

/* tuo_tx_next_in_place: the next packet as one contiguous piece of the input buffer. Its headers
   are written in front of its payload, over the packet before, which must have been used by then.
   pkt       the buffer given to tuo_tx_init, now writable. Calls of tuo_tx_next may come before,
             but not after
   Returns   a packet: TUO_OK
             none is left: TUO_DONE
             pkt is not the pointer given to tuo_tx_init: TUO_E_INVALID */
TUO_API TUO_MUST_CHECK tuo_result tuo_tx_next_in_place(tuo_tx *tx, void *pkt, tuo_tx_packet *packet);

/* tuo_tx_remaining: packets for the device that are not yet handed out. */
TUO_API size_t tuo_tx_remaining(const tuo_tx *tx);

/* tuo_tx_queue_init: a queue in front of a device that takes packets in bursts, perhaps fewer than
   offered. Packets not taken stay, in order, for the next flush. The queue never drops or frees a
   packet, because a lost segment can delay its connection by a retransmission time-out.
   slots     slots[0..slot_count): caller-owned memory for handles, in use as long as the queue
   send      send(user, packets, count): offers packets[0..count), count at least 1. Returns n: the
             device took packets[0..n) and owns these packets now. Called by push and flush only, on
             their thread; must not use this queue
   Returns   ready: TUO_OK
             no slots or no callback: TUO_E_INVALID */
TUO_API TUO_MUST_CHECK tuo_result tuo_tx_queue_init(tuo_tx_queue *queue, void **slots, size_t slot_count,
                                                    tuo_send_batch send, void *user);

/* tuo_tx_queue_push: one packet in, by its handle. A full queue is flushed first.
   Returns   taken: TUO_OK
             not taken, the queue is full and the device takes nothing: TUO_AGAIN
             not taken, the callback claims too much: TUO_E_BUFFER, as for flush */
TUO_API TUO_MUST_CHECK tuo_result tuo_tx_queue_push(tuo_tx_queue *queue, void *packet);

/* tuo_tx_queue_flush: offer all queued packets, until the device takes nothing more.
   Returns   the queue is empty: TUO_OK
             the device takes nothing more: TUO_AGAIN
             the callback claims more than the offer, a defect: TUO_E_BUFFER. The offer counts as
             taken */
TUO_API TUO_MUST_CHECK tuo_result tuo_tx_queue_flush(tuo_tx_queue *queue);

/* tuo_tx_queue_count: packets queued. tuo_tx_queue_take: the oldest packet, which leaves the queue
   (to free it at the end); NULL if there is none. */
TUO_API size_t tuo_tx_queue_count(const tuo_tx_queue *queue);
TUO_API void *tuo_tx_queue_take(tuo_tx_queue *queue);

/* tuo_rx_queue_init: batches from a device, with a place for injected packets, which go first (an
   ARP answer, a packet put back).
   slots     slots[0..slot_count): caller-owned memory for injected packets; slot_count may be 0
   recv      recv(user, packets, count): fills packets[0..n) and returns n, at most count. Not
             called while injected packets fill a burst, so count is at least 1. Must not use this
             queue
   Returns   ready: TUO_OK
             no callback, or slot_count without slots: TUO_E_INVALID */
TUO_API TUO_MUST_CHECK tuo_result tuo_rx_queue_init(tuo_rx_queue *queue, tuo_rx_packet *slots, size_t slot_count,
                                                    tuo_recv_batch recv, void *user);

/* tuo_rx_queue_inject: this packet leaves before packets of the device, after packets injected
   earlier.
   Returns   taken: TUO_OK
             not taken, all slots are in use: TUO_E_NOSPACE */
TUO_API TUO_MUST_CHECK tuo_result tuo_rx_queue_inject(tuo_rx_queue *queue, const tuo_rx_packet *packet);

/* tuo_rx_queue_batch: up to count packets: injected packets first, then one burst of the device.
   Returns   how many of packets[0..count) were filled. A callback that claims more than count is
             taken to have filled count
   Ownership bytes are borrowed until the caller gives `user` back to its owner */
TUO_API size_t tuo_rx_queue_batch(tuo_rx_queue *queue, tuo_rx_packet *packets, size_t count);

/* --- UDP: which datagrams leave together (UDP_SEGMENT) --- */

/* Limits of one train: a message of several datagrams. Zero-initialised: 64 datagrams, 65000
   bytes. */
typedef struct tuo_udp_limits {
    /* datagrams; 0 = 64 (UDP_SEGMENT of some kernels before 6.9 refuses more); 1..128 */
    uint32_t max_segs;
    /* bytes of payload; 0 = 65000 (longer messages are cut in software, U 1.4); 1..65507 */
    uint32_t max_bytes;
    /* 1: the last datagram must be shorter than the others (Linux 7.0.0 to 7.1.4) */
    uint8_t no_equal_tail;
} tuo_udp_limits;

/* One datagram, as the planner sees it. */
typedef struct tuo_udp_slot {
    uint32_t len;            /* bytes of payload */
    uint32_t key;            /* below key_count; one per peer, local address and traffic class */
    int32_t next;            /* written: the slot behind this one in its train; -1: none */
} tuo_udp_slot;

/* One message: the slots from first on, by next. */
typedef struct tuo_udp_train {
    int32_t first;
    uint32_t count;          /* slots; 1: a plain message, without UDP_SEGMENT */
    uint32_t seg_len;        /* len of each slot but the last: the value of UDP_SEGMENT */
    uint32_t len;            /* bytes of all slots */
} tuo_udp_train;

/* tuo_udp_plan: decide which datagrams leave together. No system call, no allocation.
   Reads     slots[0..count): len, key; count is below 2^31. limits: NULL for the defaults; a value
             outside its range counts as the nearest value inside
   Writes    slots[].next; trains[0..return), in the order of their first datagrams;
             open[0..key_count) is scratch
   Returns   the number of trains: at most count, and at least 1 if count is not 0
   Rules     The datagrams of a train have one key and one len; the last may be shorter. A train has
             at most max_segs datagrams and max_bytes bytes, and is as long as the rules allow.
             An empty datagram, or a datagram of more than max_bytes, is a train by itself. The next
             datagram of the same key begins another train.
             The datagrams of a key keep their order.
             no_equal_tail: the last datagram of a train must be shorter. Equal datagrams therefore
             are trains by themselves unless a shorter one of their key follows within the limits.
   Cost      O(count + key_count); with no_equal_tail O(count * max_segs + key_count) */
TUO_API size_t tuo_udp_plan(const tuo_udp_limits *limits, tuo_udp_slot *slots, size_t count, int32_t *open,
                            size_t key_count, tuo_udp_train *trains);

#ifdef TUNOFFLOAD_TUN

/* --- Linux TUN backend: define TUNOFFLOAD_TUN before every #include of this header. Linux only.
   --- */

#include <sys/uio.h>

#define TUOI_TUN_DECLARED

/* One queue of a TUN or TAP device. One receiving thread and one sending thread may use a queue at
   the same time. Different queues are independent. Functions that change the device (tuo_tun_set_*,
   _add_address, _probe, _configure) belong to the sending thread. */
typedef struct tuo_tun tuo_tun;

/* Read-side offloads (TUNSETOFFLOAD): the forms in which the kernel may hand out packets. */
enum {
    TUO_TUN_CSUM = 1,     /* partial checksums */
    TUO_TUN_TSO4 = 2, TUO_TUN_TSO6 = 4, /* TCP superpackets */
    TUO_TUN_TSO_ECN = 8,  /* TCP superpackets with CWR in the first segment */
    TUO_TUN_USO = 0x60,   /* UDP superpackets, IPv4 and IPv6 only together; Linux 6.2 */
    /* Superpackets in UDP tunnels (VXLAN, Geneve), without and with an outer checksum; Linux 6.17.
       The inner kinds are those of the bits above */
    TUO_TUN_UDP_TUNNEL = 0x80, TUO_TUN_UDP_TUNNEL_CSUM = 0x100
};

/* Steps of opening and adopting, in their order. */
typedef enum tuo_tun_step {
    TUO_TUN_STEP_NONE,
    TUO_TUN_STEP_DESC,         /* a member of the desc is out of range; the text names the member */
    TUO_TUN_STEP_MEMORY,
    TUO_TUN_STEP_PATH,         /* opening desc.path */
    TUO_TUN_STEP_NETLINK,      /* opening a netlink socket */
    TUO_TUN_STEP_ATTACH,       /* making the device, or attaching to a device */
    TUO_TUN_STEP_DESCRIPTOR,   /* reading the state of the descriptor */
    TUO_TUN_STEP_NEGOTIATE,    /* vnet header and offloads */
    TUO_TUN_STEP_OWNER, TUO_TUN_STEP_GROUP, TUO_TUN_STEP_PERSIST,
    TUO_TUN_STEP_MTU, TUO_TUN_STEP_TX_QUEUE_LEN, TUO_TUN_STEP_ADDRESS4, TUO_TUN_STEP_ADDRESS6, TUO_TUN_STEP_UP
} tuo_tun_step;

/* A failed step, for a log: "tun0: IPv6 address fd00::1/64: IPv6 is off (disable_ipv6)". */
typedef struct tuo_tun_failure {
    tuo_tun_step step;
    int error;                   /* errno; 0: none */
    char text[160];              /* cut if longer; "" if nothing failed */
} tuo_tun_failure;

/* Zero-initialised: a non-blocking TUN device, named by the kernel, with every offload that the
   kernel has. No pointer in it is kept after the call. */
typedef struct tuo_tun_desc {
    const char *name;            /* up to 15 characters, may hold one %d; NULL: kernel's choice */
    uint8_t tap;                 /* Ethernet frames instead of IP packets */
    uint8_t blocking;            /* calls wait for data, room or tuo_tun_wake; 0: TUO_AGAIN */
    uint8_t multi_queue;         /* allow tuo_tun_add_queue */
    /* With multi_queue: join a device that has queues. Vnet header and offloads stay unchanged. */
    uint8_t share;
    /* Plain packets, no offloads in either direction. Not for a device that has vnet headers. */
    uint8_t no_vnet_hdr;
    /* Also read superpackets in UDP tunnels (VXLAN, Geneve; manual, UDP TUNNELS). The vnet header
       then has 24 bytes. A kernel before Linux 6.17 hands out their segments, as without. */
    uint8_t udp_tunnels;
    /* Also write superpackets in UDP tunnels (gro.vxlan_ports, gro.geneve_ports) to a TUN device.
       Linux 6.18 and 7.2 deliver them, but not as the header is specified (K 1.30). Try your kernel
       first: tuo_tun_probe_tunnels. A TAP device needs no switch. */
    uint8_t tun_writes_tunnels;
    uint8_t persist;             /* the device outlives its last descriptor */
    uint8_t borrowed;            /* tuo_tun_adopt: tuo_tun_close leaves the descriptor open */
    uint8_t hold_when_down;      /* tuo_tun_send_batch holds buffers while the interface is down */
    uint8_t up;                  /* bring the interface up */
    /* Never open an AF_NETLINK socket (for a seccomp filter that kills). A setting that is not yet
       in effect then gives TUO_E_UNSUPPORTED. */
    uint8_t no_netlink;
    uint8_t address6_optional;   /* if IPv6 is off, leave address6 out; *failure says so */
    uint8_t set_owner, set_group; /* let owner, group open the persistent device */
    uint32_t owner, group;       /* numeric ids */
    const char *path;            /* of the clone device; NULL: "/dev/net/tun" */
    uint32_t round_packets;      /* packets in a round of tuo_tun_next; 0 = 128 */
    size_t push_bytes;           /* memory of tuo_tun_push; 0 = 256 KiB; 70000 and more */
    uint32_t mtu;                /* bytes; 0: leave */
    /* Packets that wait for this program; 0: leave (Linux: 500). A longer queue drops less. */
    uint32_t tx_queue_len;
    const char *address4;        /* "192.0.2.1/24", or NULL */
    const char *address6;        /* "2001:db8::1/64", or NULL */
    uint32_t disable_offloads;   /* TUO_TUN_*: read-side offloads to leave off */
    uint8_t adopt_negotiate;     /* tuo_tun_adopt: also set vnet header size and offloads */
    uint32_t refusal_limit;      /* refusals in a row that switch a protocol off; 0 = 3 */
    uint32_t retry_after;        /* packets sent until the protocol is tried again; 0 = 100000 */
    /* For tuo_tun_send_batch and tuo_tun_push. Opening sets vnet_hdr_len, vnet_order, no_vnet_hdr,
       ethernet, disable_tcp6_ext and tunnels_for_tun. hash_seed 0: a random seed. finish_checksum
       is refused. */
    tuo_gro_desc gro;
    tuo_tun_failure *failure;    /* filled by open and adopt, also of groups; NULL: not wanted */
} tuo_tun_desc;

/* Counters since open, one struct per side. Packets that the device itself dropped are not counted
   here: see >>manual, "Where packets are lost". */
typedef struct tuo_tun_rx_stats {
    uint64_t rx_reads, rx_bytes;         /* successful reads; bytes of packets */
    uint64_t rx_superpackets;            /* reads of a packet with a GSO type */
    uint64_t rx_segments;                /* packets from tuo_tun_recv_batch, _next and _next_copy */
    uint64_t rx_truncated;               /* lost: buffer too small, or tuo_tun_recv_discard */
    /* Lost: vnet header and packet contradict each other, the GSO type is not supported, or the
       kernel could not hand out the packet (EINVAL, EFAULT). */
    uint64_t rx_refused;
} tuo_tun_rx_stats;

typedef struct tuo_tun_tx_stats {
    uint64_t tx_packets;                 /* taken, or pushed and dropped */
    uint64_t tx_writes, tx_bytes;        /* successful writes; bytes of packets */
    uint64_t tx_superpackets;            /* writes of a packet with a GSO type */
    /* Refused, or too large for the kernel's memory at that moment. Resent as single packets. */
    uint64_t tx_refused_superpackets;
    /* Packets and segments written singly: of refused superpackets, or of packets whose offloads
       the device does not have. */
    uint64_t tx_resent_packets;
    uint64_t tx_refused_packets;         /* lost: refused single packets (EINVAL: no IP packet) */
    /* The next three count packets. Of a superpacket that was being resent, they count segments. */
    uint64_t tx_dropped_full;            /* lost: pushed while memory and device were full */
    uint64_t tx_dropped_down;            /* lost: the interface was down */
    uint64_t tx_dropped_error;           /* lost: device deleted, or another error */
    uint64_t tx_again;                   /* writes that would have blocked */
    /* Buffers of tuo_tun_send_batch whose length most likely leaves out the headroom. The packet or
       its end is lost. Packets truncated before the call count as well. */
    uint64_t headroom_short;
    uint64_t switched_off;               /* times that refusals switched a protocol off */
    uint8_t tcp4_off, tcp6_off, udp_off, tunnels_off; /* 1: switched off now */
} tuo_tun_tx_stats;

/* Negotiated properties of a queue, and the last errno of each side. */
typedef struct tuo_tun_info {
    /* Read-side, TUO_TUN_*; 0 if shared, or adopted without adopt_negotiate: not known then */
    uint32_t offloads;
    uint32_t vnet_hdr_len;    /* bytes of the vnet header; 0: none */
    /* Of the last failed system call, also if the packet was resent; never EAGAIN; 0: none. */
    int rx_errno, tx_errno;
} tuo_tun_info;

/* tuo_tun_open: create or attach to a device, negotiate, and configure as the desc says.
     *error, *desc->failure  set on every return; either may be NULL

     opened: TUO_OK. failure->step is 0, or TUO_TUN_STEP_ADDRESS6 (address6_optional)
     a member of the desc is out of its range, or gro.finish_checksum is set: TUO_E_INVALID
     the device exists and has a vnet header, though no_vnet_hdr: TUO_E_UNSUPPORTED
     a shared device has a vnet header of another size than 10, 12, 20, 24: TUO_E_UNSUPPORTED
     a setting is not yet in effect, and netlink is denied or no_netlink: TUO_E_UNSUPPORTED
     the device has queues already, and share is not set: TUO_E_SYSTEM with EBUSY
     a system call or the allocation failed: TUO_E_SYSTEM

   After a failure nothing is left open. A persistent device that was made stays, and settings made
   before the failed setting stay.
   Ownership close with tuo_tun_close. One allocation (calloc) of about 180 KiB and desc.push_bytes,
             none later
   Order     TUNSETIFF with IFF_VNET_HDR, or without if refused. Vnet header size. Offloads from the
             largest set down (a refused TUNSETOFFLOAD changes nothing); before the header gets
             shorter, so that none is read without room for it. Owner, group, persist, mtu,
             tx_queue_len, addresses, up. Without a vnet header the offloads are cleared, since a
             persistent device keeps the offloads of its last user
   Exclusive a device with queues, of any process, is refused before anything is changed. rtnetlink
             counts the queues of a multi-queue device. Where rtnetlink does not count (before Linux
             4.20, no_netlink, netlink denied), an existing multi-queue device is refused
   Rights    CAP_NET_ADMIN, or ownership of a persistent device. A setting already in effect needs
             no right and no netlink, so an administrator can prepare the device. An address is in
             effect only with the same prefix length. IPv6 addresses are read from
             /proc/thread-self/net/if_inet6
   Calls     with no_netlink and no setting: open, ioctl, fcntl, eventfd, close, and getrandom
             unless gro.hash_seed is set. For a setting also fstat and an AF_INET socket, closed at
             once; for address6 also read
   Kernels   without TUNSETOFFLOAD, TUNSETVNETHDRSZ or IFF_VNET_HDR: the queue has what the kernel
             has, at least plain packets. If the desc asks for more, opening fails
   Sources   linux drivers/net/tun.c; K 2 */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_open(tuo_tun **tun, const tuo_tun_desc *desc, int *error);

/* tuo_tun_adopt: use a descriptor that another program opened (socket activation, VPN service,
   parent process).
     *error, *desc->failure  as for tuo_tun_open

     adopted: TUO_OK
     the descriptor delivers packet information (no IFF_NO_PI): TUO_E_UNSUPPORTED
     the device has a vnet header, though no_vnet_hdr: TUO_E_UNSUPPORTED
     the vnet header is of another size than 10, 12, 20, 24, and no adopt_negotiate:
     TUO_E_UNSUPPORTED
     a setting is not yet in effect, and rtnetlink does not reach the device: TUO_E_UNSUPPORTED
     otherwise: as tuo_tun_open

   After a failure the descriptor stays the caller's, with its former vnet header and offloads.
   Settings made before the failed setting stay.
   Ownership after TUO_OK the descriptor belongs to *tun, unless desc.borrowed
   Reads     flags, vnet header size and byte order of the descriptor. Changes only what the desc
             asks for: adopt_negotiate, mtu, tx_queue_len, up, addresses
   Reach     rtnetlink does not reach a device in another network namespace, nor any device from a
             sandbox without AF_NETLINK. Without CAP_NET_ADMIN perhaps not even a device in the same
             namespace
   Note      packet information is detected only if rtnetlink knows an interface of that name
   Note      out of reach of rtnetlink, and without O_NONBLOCK, an interface that is down looks like
             a full device
   Note      if the last user switched offloads for UDP tunnels on (Linux 6.17) with a vnet header
             below 24 bytes, each packet is lost (rx_refused, rx_errno EFAULT). Use
             adopt_negotiate */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_adopt(tuo_tun **tun, int fd, const tuo_tun_desc *desc, int *error);

/* tuo_tun_add_queue: another queue of the same device, with the desc of the first queue.
     first    multi-queue; not to be closed during the call

     added: TUO_OK. A device that was renamed is found by its new name
     the kernel gave the queue other flags than the first: TUO_E_UNSUPPORTED
     the device is in another network namespace than the calling thread: TUO_E_UNSUPPORTED
     no CAP_NET_ADMIN, and the first queue was adopted or has no netlink: TUO_E_UNSUPPORTED
     the device was deleted: TUO_E_GONE
     otherwise: as tuo_tun_open */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_add_queue(const tuo_tun *first, tuo_tun **queue, int *error);

/* tuo_tun_close: close and free. Packets still held are dropped. NULL is allowed.
   Thread    first ends the calls of other threads; calls that wait return TUO_E_WOKEN. No other
             thread may begin a call any more: call tuo_tun_wake, join the threads, then close */
TUO_API void tuo_tun_close(tuo_tun *tun);

/* tuo_tun_wake: until tuo_tun_wake_clear, every waiting call on this queue returns TUO_E_WOKEN.
   Thread    any thread, or a signal handler
   Note      a call that has work to do does not wait, and does not see the wake-up. So a busy loop
             needs a flag of its own, and the caller's poll loop a descriptor of its own */
TUO_API void tuo_tun_wake(tuo_tun *tun);
TUO_API void tuo_tun_wake_clear(tuo_tun *tun);

/* tuo_tun_wait: wait until the queue can be read, or written if for_writing.
     timeout_ms  milliseconds; -1: no limit

     ready, segments of a superpacket are left, or the device was deleted: TUO_OK
     timeout, or a signal handler ran: TUO_AGAIN
     woken, or being closed: TUO_E_WOKEN
     poll() failed: TUO_E_SYSTEM

   Note      while the interface is down, poll reports no room: for_writing waits until it is up */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_wait(tuo_tun *tun, int for_writing, int timeout_ms);

/* tuo_tun_fd: the descriptor, for the caller's poll loop.
   tuo_tun_name: the interface name when the queue was opened. */
TUO_API int tuo_tun_fd(const tuo_tun *tun);
TUO_API const char *tuo_tun_name(const tuo_tun *tun);

/* tuo_tun_query_info: negotiated properties, and the last errno of each side. Any thread. */
TUO_API void tuo_tun_query_info(const tuo_tun *tun, tuo_tun_info *info);

/* tuo_tun_caps: offloads of the device. The tx and max members do not depend on the read-side
   offloads. With a vnet header a TUN device takes TCP superpackets, and UDP superpackets if the
   kernel has USO. The members rx_csum_tcp4 to rx_csum_udp6 are 1 if TUO_TUN_CSUM is on. A TAP
   device made with IFF_NAPI_FRAGS takes fewer pieces and bytes. The sending functions join pieces
   if a packet has too many. mtu is 0: writes may be longer than the MTU of the interface. */
TUO_API void tuo_tun_caps(const tuo_tun *tun, tuo_caps *caps);

/* tuo_tun_query_rx_stats: counters of the receiving side. Receiving thread.
   tuo_tun_query_tx_stats: counters of the sending side. Sending thread.
   tuo_tun_query_gro_stats: verdicts on the packets of tuo_tun_send_batch and tuo_tun_push: why they
   merged, or did not. Sending thread. */
TUO_API void tuo_tun_query_rx_stats(const tuo_tun *tun, tuo_tun_rx_stats *stats);
TUO_API void tuo_tun_query_tx_stats(const tuo_tun *tun, tuo_tun_tx_stats *stats);
TUO_API void tuo_tun_query_gro_stats(const tuo_tun *tun, tuo_gro_stats *stats);

/* tuo_tun_set_mtu, tuo_tun_set_up, tuo_tun_add_address: settings of the interface, by rtnetlink in
   the network namespace in which the queue was opened.
     mtu      bytes
     text     "192.0.2.1/24" or "2001:db8::1/64"

     the setting is in effect: TUO_OK. If it was in effect before, nothing was sent
     text is no address: TUO_E_INVALID
     the device was deleted: TUO_E_GONE
     the device is in another network namespace now: TUO_E_UNSUPPORTED
     rtnetlink cannot be used (denied, no_netlink, see tuo_tun_adopt): TUO_E_UNSUPPORTED
     the kernel refused: TUO_E_SYSTEM. tx_errno of tuo_tun_query_info is EPERM without
     CAP_NET_ADMIN. ENOBUFS: the answer was lost, the setting may be in effect
     being closed: TUO_E_WOKEN

   An interface that only has the name or the index of the device is never touched. Linux before 5.2
   does not report that a device was moved. There, name and index must be the same as at open.
   Thread    the sending one
   Note      an IPv6 address that exists with another prefix length keeps that length (Linux) */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_set_mtu(tuo_tun *tun, uint32_t mtu);
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_set_up(tuo_tun *tun, int up);
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_add_address(tuo_tun *tun, const char *text);

/* tuo_tun_set_offloads: set the read-side offloads, for instance when a guest resets.
     offloads  exactly these TUO_TUN_*

     switched: TUO_OK. tuo_tun_query_info and tuo_tun_caps report the new offloads
     any offload without TUO_TUN_CSUM: TUO_E_INVALID
     TUO_TUN_TSO_ECN without TUO_TUN_TSO4 or TUO_TUN_TSO6: TUO_E_INVALID
     only one of the two bits of TUO_TUN_USO: TUO_E_INVALID
     TUO_TUN_UDP_TUNNEL without TUO_TUN_TSO4, _TSO6 and _USO: TUO_E_INVALID
     TUO_TUN_UDP_TUNNEL_CSUM without TUO_TUN_UDP_TUNNEL: TUO_E_INVALID
     no vnet header, or unknown to the kernel: TUO_E_UNSUPPORTED
     TUO_TUN_UDP_TUNNEL, and a vnet header below 24 bytes: TUO_E_UNSUPPORTED
     the device was deleted: TUO_E_GONE
     any other errno: TUO_E_SYSTEM
     being closed: TUO_E_WOKEN

   After a failure the offloads are unchanged. After TUO_OK packets in the kernel's queue keep their
   form: superpackets from before the switch are still read (K 2.18). Superpackets in tunnels are
   lost then, and counted (rx_refused).
   Queues    offloads belong to the device, so the switch concerns all its queues. On other queues
             tuo_tun_query_info and tuo_tun_caps keep reporting the old offloads: make the same call
             on each
   Thread    the sending one */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_set_offloads(tuo_tun *tun, uint32_t offloads);

/* --- A TUN device in an event loop. Receiving: tuo_tun_next, tuo_tun_pending. Sending:
   tuo_tun_push, tuo_tun_flush, tuo_tun_held. --- */

/* tuo_tun_next: the next packet of wire size, checksums finished, in the queue's own memory.
   Reads     the device only when nothing is left of the last superpacket. A round ends after
             desc.round_packets packets or 256 KiB, at the end of a superpacket; or before a read
             that would most likely find nothing
   Writes    *packet: data, len. The caller may write to data[-64..len). Valid until the next
             receiving call, which overwrites the last bytes of this packet
   Returns   a packet: TUO_OK
             the device is empty: TUO_AGAIN
             the round is over, the device perhaps not empty: TUO_MORE. Also after 16 lost packets
             (rx_refused). The next call begins a round
             device deleted: TUO_E_GONE
             woken while it waited (blocking), or being closed: TUO_E_WOKEN
             any other errno: TUO_E_SYSTEM. Nothing is lost; the next call begins a round
   Loop      while (tuo_tun_next(tun, &packet) == TUO_OK) ... Level-triggered: then sleep.
             Edge-triggered: sleep only after TUO_AGAIN
   Blocking  only the first call of a round waits; later calls return TUO_MORE instead
   Refused   a superpacket that contradicts its vnet header is lost (rx_refused). Linux makes none.
             A jumbo payload option (another program's, through a bridge) is taken out, as by
             TUO_F_STRIP_JUMBO, so that no such superpacket is lost. In UDP tunnels it is not
   Note      never returns TUO_E_NOSPACE. A packet can be as long as the current MTU, so check len
             before a copy. Do not mix with tuo_tun_recv and tuo_tun_recv_batch while packets are
             left */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_next(tuo_tun *tun, tuo_buf *packet);

/* tuo_tun_next_copy: as tuo_tun_next, but copied and summed in one pass. For packets that are kept,
   or encrypted in place.
   Writes    dst[0..*len)
   Returns   as tuo_tun_next
             longer than capacity: TUO_E_NOSPACE. dst holds the first capacity bytes, *len is the
             true length. The packet is gone; a daemon can answer "fragmentation needed" */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_next_copy(tuo_tun *tun, void *dst, size_t capacity, size_t *len);

/* tuo_tun_pending: 1 if packets are left inside that poll does not see, because a loop over
   tuo_tun_next ended early. Sleep then only to wait for room in the caller's queue. Always 0 after
   TUO_AGAIN and TUO_MORE. Receiving thread. */
TUO_API int tuo_tun_pending(const tuo_tun *tun);

/* tuo_tun_push, tuo_tun_push_iov: one packet with finished checksums, copied into memory of the
   queue (desc.push_bytes). The caller may reuse the bytes at once.
     iov      any number of pieces, cut anywhere
   Writes    the device, if that memory is full
   Returns   taken: TUO_OK. The packet leaves with tuo_tun_flush at the latest, or is counted there
             memory full, the device takes nothing: TUO_AGAIN. Dropped and counted (tx_dropped_full)
             len 0 or above 65535 (TAP: and 14): TUO_E_INVALID
             it had to write, and the device is deleted: TUO_E_GONE. Counted (tx_dropped_error)
             being closed: TUO_E_WOKEN
   Ignore    safe: a router would drop the packet as well. Errors of earlier packets come from
             tuo_tun_flush
   Blocking  waits for room when the memory is full. Woken: TUO_AGAIN
   Note      buffers that tuo_tun_send_batch holds go first. While the device takes none of them,
             push returns TUO_AGAIN */
TUO_API tuo_result tuo_tun_push(tuo_tun *tun, const void *bytes, size_t len);
TUO_API tuo_result tuo_tun_push_iov(tuo_tun *tun, const tuo_iov *iov, size_t iov_count);

/* tuo_tun_flush: coalesce and write the pushed packets, and write all that is held. Call it before
   the loop sleeps, also after timers that push.
   Returns   nothing is left inside: TUO_OK
             the device takes nothing now: TUO_AGAIN. The rest is held and goes first
             interface down: TUO_E_DOWN. Dropped and counted (tx_dropped_down)
             device deleted: TUO_E_GONE. Dropped and counted (tx_dropped_error)
             woken while it waited (blocking), or being closed: TUO_E_WOKEN. Held
             any other errno: TUO_E_SYSTEM. Dropped and counted (tx_dropped_error)
   Pushes    an error that tuo_tun_push met since the last flush is returned here as well
   Ignore    safe. After TUO_E_GONE tuo_tun_next says the same
   Note      buffers of tuo_tun_send_batch stay held after TUO_E_GONE and TUO_E_SYSTEM, and after
             TUO_E_DOWN if desc.hold_when_down */
TUO_API tuo_result tuo_tun_flush(tuo_tun *tun);

/* tuo_tun_held: 1 if the last sending call left packets inside (TUO_AGAIN, TUO_E_WOKEN; buffers of
   tuo_tun_send_batch also after other errors). Then poll for POLLOUT as well, and flush. Sending
   thread. */
TUO_API int tuo_tun_held(const tuo_tun *tun);

/* tuo_tun_inject: write one packet now, ahead of all held packets. For instance an answer by the
   receiving thread (ICMP "fragmentation needed"). Never waits, and counts nothing.
   Returns   written: TUO_OK
             the device is full: TUO_AGAIN
             the kernel does not take these bytes as a packet: TUO_E_REFUSED
             interface down: TUO_E_DOWN
             device deleted: TUO_E_GONE
             being closed: TUO_E_WOKEN
             any other errno: TUO_E_SYSTEM
   Thread    any */
TUO_API tuo_result tuo_tun_inject(tuo_tun *tun, const void *pkt, size_t len);

/* --- Packets and batches in the caller's buffers --- */

/* tuo_tun_recv, tuo_tun_recv_iov: one packet or superpacket, unsplit, and its vnet header (zero if
   the device has none).
     iov      at most 15 iovecs of 2^30 bytes together
   Writes    bytes[0..*len) or the iovecs; *vnet, not checked against the packet (see tuo_gso_init)
   Returns   a packet: TUO_OK
             nothing there (non-blocking), or 16 lost packets in a row (rx_refused): TUO_AGAIN
             larger than capacity: TUO_E_NOSPACE. The packet is lost (rx_truncated). 65535 bytes,
             and an Ethernet header with tags for TAP, always suffice
             too many or too long iovecs: TUO_E_INVALID
             otherwise: TUO_E_WOKEN, TUO_E_GONE, TUO_E_SYSTEM as tuo_tun_next
   Note      these calls overtake segments that tuo_tun_recv_batch has left. Do not mix them */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_recv(tuo_tun *tun, void *bytes, size_t capacity, tuo_vnet_hdr *vnet,
                                               size_t *len);
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_recv_iov(tuo_tun *tun, const struct iovec *iov, size_t iov_count,
                                                   tuo_vnet_hdr *vnet, size_t *len);

/* tuo_tun_recv_batch: packets split to wire size, with finished checksums, one per buffer.
     ops      NULL: bufs are tuo_buf *
     offset   bytes of headroom in front of each packet
   Reads     the device until it is empty, or the buffers are full, or fewer buffers are left than
             the last superpacket had segments. If the buffers end within a superpacket, the next
             call continues there before it reads
   Writes    bufs[0..*received); *received, always
   Returns   *received > 0, or count 0: TUO_OK. Otherwise *received is 0:
             the device is empty, or 16 lost packets in a row (rx_refused): TUO_AGAIN
             the first buffer is too small: TUO_E_NOSPACE
             the first buffer fails: TUO_E_BUFFER
             otherwise: TUO_E_WOKEN, TUO_E_GONE, TUO_E_SYSTEM as tuo_tun_next
   After TUO_E_NOSPACE and TUO_E_BUFFER the segment and the packets behind it wait. The MTU can
   change at run time: retry with larger buffers, or call tuo_tun_recv_discard.
   Blocking  waits for the first packet only
   Poll      before poll(), call until TUO_AGAIN: unlike tuo_tun_wait, poll() does not see segments
             that are left */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_recv_batch(tuo_tun *tun, const tuo_buf_ops *ops, void *const *bufs,
                                                     size_t count, size_t offset, size_t *received);

/* tuo_tun_recv_discard: drop the rest of a superpacket that tuo_tun_recv_batch has left. Counts
   segments (rx_truncated). */
TUO_API void tuo_tun_recv_discard(tuo_tun *tun);

/* tuo_tun_send: one packet with finished checksums. Held packets are sent first.
   Returns   taken: TUO_OK. After any other result the packet was not taken
             the device is full (non-blocking): TUO_AGAIN
             the kernel does not take these bytes as a packet: TUO_E_REFUSED
             interface down: TUO_E_DOWN
             device deleted: TUO_E_GONE
             woken while it waited (blocking), or being closed: TUO_E_WOKEN
             any other errno: TUO_E_SYSTEM */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_send(tuo_tun *tun, const void *pkt, size_t len);

/* tuo_tun_send_iov: one packet or superpacket in pieces: from tuo_tun_recv, a tuo_superpacket
   without its vnet bytes, or the caller's own.
     iov      at most 1023 iovecs, or 1022 if a length is filled
     vnet     NULL: zero
   Returns   as tuo_tun_send
             too many iovecs: TUO_E_INVALID
             refused, and cannot be split: as tuo_gso_init
             refused, and no segment taken either: TUO_E_REFUSED
             resend interrupted (device full, or an error after its first segment): TUO_OK. The
             queue's own memory holds the rest. The next sending call continues and reports errors
   Refusals  a superpacket that the kernel refuses, or has no memory for (ENOBUFS, ENOMEM), is split
             and resent at once. No protocol is switched off. A device without vnet header gets all
             superpackets split
   Lengths   Linux drops or corrupts most superpackets whose length fields are 0. Such fields are
             filled, in a copy of the headers, if they can hold the length
   Note      some kernels take TCP superpackets with IPv6 extension headers and later drop them
             (K 1.23). Some cut a gso_size below 8 into segments of 8 bytes (K 1.9). No kernel takes
             more than 128 datagrams. tuo_tx_init with tuo_tun_caps cuts these superpackets */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_send_iov(tuo_tun *tun, const tuo_iov *iov, size_t iov_count,
                                                   const tuo_vnet_hdr *vnet);

/* tuo_tun_send_gso: a large TCP or UDP packet from its parts, in one writev. Length fields and
   checksums are filled in a copy of the headers. Payload up to gso_size makes one ordinary packet.
   Returns   as tuo_tun_send_iov
             gso_size, payload_count or a header length is wrong: TUO_E_INVALID
             packet longer than 65535 bytes: TUO_E_IP_LENGTH
             headers longer than TUO_HEADER_MAX: TUO_E_HEADER_TOO_LONG
             a routing header with segments left: TUO_E_VNET_PROTOCOL
             headers that are not valid: as tuo_parse */
typedef struct tuo_tun_parts {
    const void *ip_header; /* with options or extension headers; TAP: Ethernet header in front */
    size_t ip_header_len;
    const void *l4_header; /* TCP with options, or UDP */
    size_t l4_header_len;
    const tuo_iov *payload;
    size_t payload_count;  /* iovecs; up to 1021 */
    uint16_t gso_size;     /* payload bytes per segment; 1..65534 */
} tuo_tun_parts;
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_send_gso(tuo_tun *tun, const tuo_tun_parts *parts);

/* tuo_tun_send_batch: coalesce a batch and write it: one writev per superpacket or single packet.
   Payload is not copied.
     bufs[i]  offset bytes of headroom, then one packet with finished checksums. The length counts
              both; a length without the headroom cuts the packet (headroom_short)
     *taken   how many buffers the queue took; set on every return
   Returns   all written: TUO_OK
             the device takes nothing now: TUO_AGAIN
             interface down: TUO_E_DOWN. The unwritten buffers of bufs[0..*taken) are dropped
             (tx_dropped_down), or held with desc.hold_when_down
             otherwise: TUO_E_WOKEN, TUO_E_GONE, TUO_E_SYSTEM as tuo_tun_send
   After TUO_OK, and TUO_E_DOWN without hold_when_down, the queue holds nothing. After any other
   result the queue holds the unwritten buffers of bufs[0..*taken). Leave held buffers alone until a
   sending call returns TUO_OK (or TUO_E_DOWN without hold_when_down), or until tuo_tun_discard. The
   queue keeps copies of the handles and callbacks, not the array bufs or *ops.
   Held      held buffers go first, in order, with the next sending call. While buffers are held, no
             other buffer is taken (*taken is 0). Held packets are verified again, so changed bytes
             never leave under a checksum of other bytes
   Down      TUO_E_DOWN at once, in blocking mode as well. POLLOUT comes when the interface is up
   Refusals  a superpacket that the kernel refuses (EINVAL, EIO, EMSGSIZE) is resent at once as its
             original packets. After refusal_limit refusals in a row its protocol is no longer
             coalesced. After retry_after packets coalescing is tried again
   Memory    a superpacket for which the kernel has no memory (ENOBUFS, ENOMEM) is resent likewise.
             Lack of memory is no refusal. If its first packet meets the same errno: TUO_E_SYSTEM */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_send_batch(tuo_tun *tun, const tuo_buf_ops *ops, void *const *bufs,
                                                     size_t count, size_t offset, size_t *taken);

/* tuo_tun_discard: forget held and pushed packets, uncounted. Sending thread. */
TUO_API void tuo_tun_discard(tuo_tun *tun);

/* tuo_tun_configure: new GRO switches and limits. Protocols that refusals had switched off are
   switched on again.
   Returns   configured: TUO_OK
             packets are held, or pushed and not flushed: TUO_E_INVALID
             the desc is wrong: as tuo_gro_reconfigure
   After a failure nothing has changed. Sending thread. */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_configure(tuo_tun *tun, const tuo_gro_desc *desc);

/* tuo_tun_probe: does this kernel take the superpackets that it should? Writes a few superpackets
   between loopback addresses. The kernel drops these packets on every device but the loopback
   (martian source; RFC 1122 3.2.1.3, RFC 4291 2.5.3).
   Returns   *report is filled: TUO_OK
             interface down: TUO_E_DOWN
             no vnet header, or a TAP device: TUO_E_UNSUPPORTED
             otherwise: as tuo_tun_send */
typedef struct tuo_tun_probe_report {
    /* 1: superpackets are taken with equal segments, and with a short last segment. */
    uint8_t tcp4, tcp6;
    /* 1: the defect of Linux 6.10 and some stable kernels (K 7.1). */
    uint8_t tcp4_short_tail_refused, tcp6_short_tail_refused;
    uint32_t udp4_segs, udp6_segs; /* most segments taken of 2, 64, 128; 0 = none */
} tuo_tun_probe_report;
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_probe(tuo_tun *tun, tuo_tun_probe_report *report);

/* tuo_tun_probe_tunnels: does this kernel forward what desc.tun_writes_tunnels lets a TUN device
   write? Tried end to end in a new network namespace: VXLAN datagrams are merged, written to one
   device, forwarded, and read one by one from another device. Some with an outer checksum, some
   without; outer and inner packets are IPv4.
     *error  errno of TUO_E_SYSTEM, otherwise 0; may be NULL

     every datagram came out as it was written: TUO_OK; set tun_writes_tunnels
     no tunnel types, a refused superpacket, a datagram lost or changed: TUO_E_UNSUPPORTED
     a device, the namespace or forwarding could not be set up: as tuo_tun_open, or TUO_E_SYSTEM

   Nothing is left, and no other network is touched. Needs CAP_SYS_ADMIN, CAP_NET_ADMIN and /proc.
   Blocks for some milliseconds, or about a second if a datagram is lost. The calling thread is in
   the new namespace until the return. */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_probe_tunnels(int *error);

/* Several queues of one device, woken and closed together. */
typedef struct tuo_tun_group tuo_tun_group;

/* tuo_tun_group_open: open a device with queue_count queues.
     queue_count  1..64; more than 1 implies desc->multi_queue

     queue_count out of range: TUO_E_INVALID
     otherwise: as tuo_tun_open

   After a failure no queue is open. */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_group_open(tuo_tun_group **group, const tuo_tun_desc *desc,
                                                     size_t queue_count, int *error);

/* tuo_tun_group_adopt: a group of descriptors that another program opened, one per queue.
     fd_count  1..64

     fd_count out of range: TUO_E_INVALID
     otherwise: as tuo_tun_adopt

   After a failure every descriptor stays the caller's, with its former vnet header and offloads.
   Settings made before the failed setting stay.

   tuo_tun_group_queue: one queue; NULL beyond the last. */
TUO_API TUO_MUST_CHECK tuo_result tuo_tun_group_adopt(tuo_tun_group **group, const int *fds, size_t fd_count,
                                                      const tuo_tun_desc *desc, int *error);
TUO_API tuo_tun *tuo_tun_group_queue(tuo_tun_group *group, size_t index);

/* tuo_tun_group_wake: tuo_tun_wake for every queue.
   tuo_tun_group_close: tuo_tun_close for every queue. NULL is allowed. */
TUO_API void tuo_tun_group_wake(tuo_tun_group *group);
TUO_API void tuo_tun_group_close(tuo_tun_group *group);

#endif /* TUNOFFLOAD_TUN */

#ifdef TUNOFFLOAD_UDP

/* --- UDP socket with UDP_SEGMENT and UDP_GRO: define TUNOFFLOAD_UDP before every #include of this
   header. Linux only. --- */

#include <netinet/in.h>
#include <sys/socket.h>

#define TUOI_UDP_DECLARED

/* One UDP socket with any number of peers. One receiving thread and one sending thread may use a
   socket at the same time. */
typedef struct tuo_udp tuo_udp;

/* The DF bit, and the treatment of a datagram that is too long for the path. */
typedef enum tuo_udp_df {
    TUO_UDP_DF_DEFAULT = 0, /* tuo_udp_open: as SET; tuo_udp_adopt: unchanged */
    TUO_UDP_DF_SET = 1,     /* DF always; longer than the learned path MTU: lost with EMSGSIZE */
    TUO_UDP_DF_PROBE = 2,   /* DF always; only the device's MTU limits (for path MTU discovery) */
    /* The kernel's default: single datagrams have DF, trains larger than the MTU do not (U 1.17) */
    TUO_UDP_DF_KERNEL = 3,
    TUOI_UDP_DF_ANY_INT = -0x7FFFFFFF - 1 /* private, as above */
} tuo_udp_df;

/* Zero-initialised: non-blocking, DF set, trains in both directions. Not kept after the call. */
typedef struct tuo_udp_desc {
    uint8_t blocking;        /* calls wait for a datagram, room or tuo_udp_wake; 0: TUO_AGAIN */
    uint8_t borrowed;        /* tuo_udp_adopt: tuo_udp_close leaves the descriptor open */
    uint8_t ip6_only;        /* IPv6 socket: no IPv4; 0: dual stack, with v4-mapped addresses */
    uint8_t reuseport;       /* SO_REUSEPORT: several sockets on one port, one per thread */
    uint8_t no_gso, no_gro;  /* never send, never receive trains */
    uint8_t tos;             /* traffic class of datagrams whose peer has tos 0 */
    tuo_udp_df df;
    uint32_t send_buffer, recv_buffer; /* kernel's, bytes; 0: open 4 MiB, adopt unchanged */
    uint32_t max_datagrams;  /* committed between two flushes; 0 = 1024; up to 2^20 */
    uint32_t max_peers;      /* different peers of these datagrams; 0 = max_datagrams */
    size_t send_bytes;       /* memory of committed datagrams; 0 = 256 KiB; 65507 to 2^30 */
    size_t recv_bytes;       /* memory of one received message; 0 = 65535; 65535 to 2^30 */
    uint32_t round_packets;  /* datagrams in a round of tuo_udp_next; 0 = 128 */
    /* After the kernel refused a train: single datagrams to this peer before the next train;
       0 = 4096. Doubles with each further refusal in a row. */
    uint32_t retry_after;
    tuo_udp_limits limits;   /* of trains */
} tuo_udp_desc;

/* Where a datagram goes to, or came from. Zero-initialise. Family AF_UNSPEC (0): the peer to which
   an adopted socket is connected. */
typedef struct tuo_udp_peer {
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
    } addr;
    union {
        struct in_addr ip4;
        struct in6_addr ip6;
    } local;                 /* of the family of addr; all zero: the kernel's choice */
    uint32_t local_scope;    /* index of the interface, if local is a link-local address */
    uint8_t tos;             /* DSCP and ECN */
} tuo_udp_peer;

/* tuo_udp_same_addr: 1 if a and b have the same address and port, although their bytes may differ:
   IPv4 or v4-mapped, any flow label. */
TUO_API int tuo_udp_same_addr(const tuo_udp_peer *a, const tuo_udp_peer *b);

/* A received datagram. */
typedef struct tuo_udp_datagram {
    uint8_t *data;
    size_t len;              /* may be 0 */
    const tuo_udp_peer *peer; /* with the local address and traffic class of the datagram */
} tuo_udp_datagram;

/* A datagram that was not sent. */
typedef struct tuo_udp_lost {
    tuo_udp_peer peer;
    void *user;              /* of tuo_udp_commit */
    size_t len;
    int error;               /* errno of the last try */
    /* EMSGSIZE: path MTU to this peer, in bytes of the IP packet. 0: unknown, or another error. The
       caller should send shorter datagrams from now on. */
    uint32_t mtu;
} tuo_udp_lost;

/* Properties of the socket, and the last errno of each side. */
typedef struct tuo_udp_info {
    uint8_t gso, gro;        /* 1: the kernel has UDP_SEGMENT, UDP_GRO, and the desc allows it */
    uint32_t send_buffer, recv_buffer; /* SO_SNDBUF, SO_RCVBUF: twice the bytes granted */
    int rx_errno, tx_errno;  /* of the last failed system call; never EAGAIN; 0: none */
} tuo_udp_info;

/* Counters since open, one struct per side. */
typedef struct tuo_udp_rx_stats {
    uint64_t rx_messages, rx_datagrams, rx_bytes;
    uint64_t rx_trains;      /* messages of several datagrams */
    uint64_t rx_truncated;   /* datagrams lost: their message was longer than recv_bytes */
    uint64_t rx_broken;      /* messages lost: control data missing or wrong */
    uint64_t rx_errors;      /* errors of earlier sends, reported by a read and ignored */
    uint64_t rx_kernel_drops; /* messages, not datagrams: receive buffer full (SO_RXQ_OVFL) */
} tuo_udp_rx_stats;

/* Every committed datagram is counted in tx_in_trains, tx_singles or tx_lost, or is held. */
typedef struct tuo_udp_tx_stats {
    uint64_t tx_datagrams, tx_bytes; /* committed or pushed */
    uint64_t tx_in_trains, tx_trains; /* datagrams sent in trains; the number of trains */
    uint64_t tx_singles;     /* datagrams sent singly */
    uint64_t tx_resent;      /* of tx_singles: after a train was refused */
    uint64_t tx_lost;        /* refused by the kernel: tuo_udp_next_lost */
    uint64_t tx_too_long;    /* of tx_lost: longer than the path allows (EMSGSIZE) */
    uint64_t tx_dropped_full; /* never committed: no room, or more than 65507 bytes reserved */
    uint64_t tx_calls, tx_again; /* calls of sendmmsg; of these, with EAGAIN */
    uint64_t tx_refused_trains;
    uint64_t tx_local_gone;  /* sent without the peer's local address, which the host has lost */
    uint64_t tx_errors;      /* errors of earlier sends, reported by a send that was then retried */
    uint64_t switched_off;   /* times that trains to a peer were switched off for a while */
} tuo_udp_tx_stats;

/* tuo_udp_open: a non-blocking socket bound to local, with UDP_GRO, DF and large kernel buffers.
   tuo_udp_adopt: a socket of the caller, connected or not.
     local    IPv4 or IPv6; port 0: any port
     desc     NULL: zero
     *error   errno, set on every return; may be NULL

     opened, adopted: TUO_OK
     desc or local is out of range: TUO_E_INVALID
     adopted, and not a UDP socket: TUO_E_UNSUPPORTED
     a system call or the allocation failed: TUO_E_SYSTEM

   After a failure an adopted descriptor stays the caller's; options may have changed.
   Ownership close with tuo_udp_close. An adopted descriptor belongs to *udp, unless desc.borrowed.
             One allocation (calloc) of about 475 KiB, none later
   Adopt     sets UDP_GRO, UDP_SEGMENT to 0, and the options that report local addresses, traffic
             classes and drops. Sets buffers, DF and traffic class only if the desc says so. Ignores
             ip6_only and reuseport. Set IP_RECVERR and transmit timestamps before tuo_udp_adopt.
             The library reads the error queue and discards its entries */
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_open(tuo_udp **udp, const struct sockaddr *local, const tuo_udp_desc *desc,
                                               int *error);
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_adopt(tuo_udp **udp, int fd, const tuo_udp_desc *desc, int *error);

/* tuo_udp_close, tuo_udp_wake, tuo_udp_wake_clear, tuo_udp_wait, tuo_udp_fd: as the functions of
   tuo_tun. With setsockopt the caller may change the DF policy at any time, and options that
   tuo_udp_desc does not name, except IP_RECVERR and transmit timestamps (see Adopt). */
TUO_API void tuo_udp_close(tuo_udp *udp);
TUO_API void tuo_udp_wake(tuo_udp *udp);
TUO_API void tuo_udp_wake_clear(tuo_udp *udp);
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_wait(tuo_udp *udp, int for_writing, int timeout_ms);
TUO_API int tuo_udp_fd(const tuo_udp *udp);

/* tuo_udp_query_info: properties, and the last errno of each side. Any thread.
   tuo_udp_query_rx_stats: counters of the receiving side. Receiving thread.
   tuo_udp_query_tx_stats: counters of the sending side. Sending thread. */
TUO_API void tuo_udp_query_info(const tuo_udp *udp, tuo_udp_info *info);
TUO_API void tuo_udp_query_rx_stats(const tuo_udp *udp, tuo_udp_rx_stats *stats);
TUO_API void tuo_udp_query_tx_stats(const tuo_udp *udp, tuo_udp_tx_stats *stats);

/* tuo_udp_reserve: memory for one datagram of up to len bytes. Flushes if there is no room.
   Returns   memory, valid until the next sending call. Without a commit nothing is sent
             socket full, len above 65507, or being closed: NULL. Counted (tx_dropped_full)
   Blocking  waits for room, unless a wake-up is pending

   tuo_udp_commit: send len bytes of the reserved memory to *peer, at the next flush at the latest.
     len      at most the reserved length; 0: an empty datagram
     peer     copied
     user     returned by tuo_udp_next_lost
   Note      socket full, and max_peers reached: the datagram is dropped (tx_dropped_full) */
TUO_API TUO_MUST_CHECK void *tuo_udp_reserve(tuo_udp *udp, size_t len);
TUO_API void tuo_udp_commit(tuo_udp *udp, const tuo_udp_peer *peer, size_t len, void *user);

/* tuo_udp_push: reserve, copy, commit.
   Returns   taken: TUO_OK
             no room, or being closed: TUO_AGAIN. Dropped and counted (tx_dropped_full)
             len above 65507: TUO_E_INVALID */
TUO_API tuo_result tuo_udp_push(tuo_udp *udp, const tuo_udp_peer *peer, const void *bytes, size_t len, void *user);

/* tuo_udp_flush: send the committed datagrams.
   Returns   nothing is left inside (sent, or lost and counted): TUO_OK
             socket full: TUO_AGAIN. The rest is held and goes first
             woken while it waited (blocking), or being closed: TUO_E_WOKEN. Held
             no socket any more (EBADF, ENOTSOCK; blocking: shut down), now or in a sending call
             since the last flush: TUO_E_SYSTEM. Dropped and counted (tx_lost)
   Ignore    safe. A refusal for one peer is never a result: see tuo_udp_next_lost
   Refusals  datagrams of a refused train are sent singly in the same call. If all of them leave,
             the next desc.retry_after datagrams to this peer are sent singly as well. ENOBUFS,
             ENOMEM and ICMP errors say nothing about trains and switch nothing off. Nothing is sent
             twice, and no peer waits for another
   Local     if the host has lost the address in tuo_udp_peer.local, the datagram is sent without
             the address and counted (tx_local_gone)
   Order     datagrams to one address leave in the order of commit, whatever their local addresses
             and traffic classes. A train ends where local address or traffic class changes */
TUO_API tuo_result tuo_udp_flush(tuo_udp *udp);

/* tuo_udp_held: as tuo_tun_held. A caller with its own queue stops committing while the result is
   1; then nothing is dropped. */
TUO_API int tuo_udp_held(const tuo_udp *udp);

/* tuo_udp_next_lost: the next datagram that flush could not send, oldest first. Sending thread.
   Returns   one datagram: TUO_OK
             no more: TUO_DONE
   Ignore    safe: the last 64 are kept, and counters stay exact
   Refusals  a single datagram that the kernel refuses is lost, even with ENOBUFS. Only EAGAIN means
             that the socket is full */
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_next_lost(tuo_udp *udp, tuo_udp_lost *lost);

/* tuo_udp_mtu: the kernel's path MTU to a peer, in bytes of the IP packet. A v4-mapped peer has the
   path MTU of IPv4.
   Returns   *mtu is set: TUO_OK
             family not IPv4 or IPv6: TUO_E_INVALID
             the socket is in another network namespace than the caller: TUO_E_UNSUPPORTED
             no route, for instance: TUO_E_SYSTEM (tx_errno)
             being closed: TUO_E_WOKEN
   Thread    any
   Cost      opens, connects and closes a socket */
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_mtu(tuo_udp *udp, const tuo_udp_peer *peer, uint32_t *mtu);

/* tuo_udp_next: the next datagram, in memory of *udp.
   Writes    *datagram: data, len, peer (addr, local, tos as received: an answer to *peer leaves
             from there). Valid until the next receiving call. The caller may write to data[0..len)
   Returns   a datagram, perhaps an empty one: TUO_OK
             the socket is empty: TUO_AGAIN
             the round is over (as tuo_tun_next): TUO_MORE
             woken while it waited (blocking), or being closed: TUO_E_WOKEN
             no socket any more, shut down (blocking only), or an error that does not go away:
             TUO_E_SYSTEM (rx_errno)
   Errors    of earlier sends are counted (rx_errors) and never returned
   Blocking  only the first call of a round waits; later calls return TUO_MORE instead */
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_next(tuo_udp *udp, tuo_udp_datagram *datagram);

/* tuo_udp_pending: 1 if datagrams are left inside that poll does not see. As tuo_tun_pending. */
TUO_API int tuo_udp_pending(const tuo_udp *udp);

/* tuo_udp_send_batch: push each buffer, then flush.
     peers[i] where bufs[i] goes; a lost datagram has bufs[i] as its user
     ops      NULL: tuo_buf
     bufs[i]  offset bytes of headroom, then one datagram, which is copied
     *taken   how many buffers were taken; set on every return
   Returns   all taken, and nothing is left inside: TUO_OK
             socket full: TUO_AGAIN. bufs[*taken..count) were neither taken nor counted. The rest of
             the taken datagrams is held
             bufs[*taken] shorter than offset, or longer than offset + 65507: TUO_E_INVALID. The
             datagrams before it were flushed
             otherwise: TUO_E_WOKEN, TUO_E_SYSTEM as tuo_udp_flush */
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_send_batch(tuo_udp *udp, const tuo_udp_peer *peers, const tuo_buf_ops *ops,
                                                     void *const *bufs, size_t count, size_t offset, size_t *taken);

/* tuo_udp_recv_batch: up to count datagrams, one per buffer, behind offset bytes of headroom.
   Writes    bufs[0..*received), and peers[0..*received) unless peers is NULL; *received, always
   Returns   at least one datagram, or count 0: TUO_OK
             none: TUO_AGAIN, TUO_MORE, TUO_E_WOKEN, TUO_E_SYSTEM as tuo_udp_next
             the first buffer is too small: TUO_E_NOSPACE
             resize of the first buffer failed: TUO_E_BUFFER
   After TUO_E_NOSPACE and TUO_E_BUFFER the datagram waits: retry with a larger buffer, or call
   tuo_udp_next. */
TUO_API TUO_MUST_CHECK tuo_result tuo_udp_recv_batch(tuo_udp *udp, const tuo_buf_ops *ops, void *const *bufs,
                                                     size_t count, size_t offset, tuo_udp_peer *peers,
                                                     size_t *received);

#endif /* TUNOFFLOAD_UDP */

#ifdef __cplusplus
}
#endif
#endif /* TUNOFFLOAD_H */

#if defined(TUNOFFLOAD_TUN) && !defined(TUOI_TUN_DECLARED)
#error "tunoffload.h: define TUNOFFLOAD_TUN before the first #include of it in a file"
#endif
#if defined(TUNOFFLOAD_UDP) && !defined(TUOI_UDP_DECLARED)
#error "tunoffload.h: define TUNOFFLOAD_UDP before the first #include of it in a file"
#endif

/* ------------------------------ stop here if you only use the library: implementation below */

#ifdef TUNOFFLOAD_IMPLEMENTATION
#ifndef TUNOFFLOAD_IMPLEMENTATION_DONE
#define TUNOFFLOAD_IMPLEMENTATION_DONE

/* ----------------------------------------------------------------------------------- >>platform */
/* Owns what depends on the compiler. Private names start with tuoi_ or TUOI_. */

#if defined(TUO_NO_LIBC) || defined(TUO_MEMCPY) || defined(TUO_MEMMOVE) || defined(TUO_MEMSET) || defined(TUO_MEMCMP)
#if !defined(TUO_MEMCPY) || !defined(TUO_MEMMOVE) || !defined(TUO_MEMSET) || !defined(TUO_MEMCMP)
#error "tunoffload.h: define all of TUO_MEMCPY, TUO_MEMMOVE, TUO_MEMSET and TUO_MEMCMP, or none (TUO_NO_LIBC needs all)"
#endif
#else
#include <string.h>
#define TUO_MEMCPY memcpy
#define TUO_MEMMOVE memmove
#define TUO_MEMSET memset
#define TUO_MEMCMP memcmp
#endif

/* For mistakes in this file and in calls, never for bytes from the network. It must not become an
   optimiser assumption. */
#ifndef TUO_ASSERT
#define TUO_ASSERT(condition) ((void)0)
#endif

#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L)
#define TUOI_INLINE static inline
#else
#define TUOI_INLINE static
#endif

/* Which variants are compiled. One that the compiler's target has already (baseline) needs no
   attribute and serves stateless calls; the others are compiled for their instructions by a target
   attribute and used where CPUID allows them. clang's headers for MSVC hide what -march does not
   name. */
#if defined(TUO_NO_SIMD) || defined(TUO_NO_LIBC) /* the headers of the intrinsics include those of a C library */
#elif (defined(__clang__) ? __clang_major__ >= 7 : defined(__GNUC__) && __GNUC__ >= 8) && !defined(_MSC_VER) && \
    (defined(__i386__) || (defined(__x86_64__) && defined(__SSE2__)))
#define TUOI_HAVE_SSE2 1
#define TUOI_HAVE_AVX 1
#define TUOI_TARGET(isa) __attribute__((target(isa)))
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__SSE2__) || defined(_M_X64)
#define TUOI_HAVE_SSE2 1
#define TUOI_TARGET(isa)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && (!defined(__BYTE_ORDER__) || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define TUOI_HAVE_NEON 1
#include <arm_neon.h>
#endif
#ifndef TUOI_HAVE_SSE2
#define TUOI_HAVE_SSE2 0
#endif
#if TUOI_HAVE_SSE2 && (defined(__SSE2__) || defined(_M_X64))
#define TUOI_BASE_SSE2 1 /* without a target attribute */
#else
#define TUOI_BASE_SSE2 0
#endif
#ifndef TUOI_HAVE_AVX
#define TUOI_HAVE_AVX 0
#endif
#ifndef TUOI_HAVE_NEON
#define TUOI_HAVE_NEON 0
#endif

/* For the small steps of the packet paths, which compilers would rather call. */
#if defined(__GNUC__) || defined(__clang__)
#define TUOI_FORCE_INLINE static inline __attribute__((always_inline))
#define TUOI_NOINLINE __attribute__((noinline))
#define TUOI_PREFETCH(address) __builtin_prefetch(address)
#else
#define TUOI_FORCE_INLINE TUOI_INLINE
#define TUOI_NOINLINE
#define TUOI_PREFETCH(address) ((void)(address))
#endif

/* For functions whose unsigned numbers are meant to wrap: sequence numbers, IDs, clocks, hashes.
   clang's -fsanitize=integer reports every other one that does. */
#if defined(__clang__) && __clang_major__ >= 13
#define TUOI_WRAPS __attribute__((no_sanitize("unsigned-integer-overflow", "unsigned-shift-base")))
#else
#define TUOI_WRAPS
#endif

#define TUOI_STATIC_ASSERT(name, condition) typedef char tuoi_static_assert_##name[(condition) ? 1 : -1] TUOI_UNUSED

/* A switch that leaves members of an enumeration to its default is over (int), for
   -Wswitch-enum. */

/* A compile-time constant where the compiler sees through it, correct anywhere. */
TUOI_INLINE int tuoi_little_endian(void) {
    const uint16_t one = 1;
    uint8_t first;
    TUO_MEMCPY(&first, &one, 1);
    return first == 1;
}

/* -------------------------------------------------------------------------------------- >>bytes */
/* Owns every load and store, but for the vectors of sums and tags. None needs alignment. Callers
   have checked the range. */

TUOI_INLINE uint16_t tuoi_rd16(const uint8_t *p) { return (uint16_t)((unsigned)p[0] << 8 | p[1]); }
TUOI_INLINE uint32_t tuoi_rd32(const uint8_t *p) { return (uint32_t)tuoi_rd16(p) << 16 | tuoi_rd16(p + 2); }
TUOI_INLINE uint16_t tuoi_big16(uint32_t v) { /* the native word whose bytes are those of v in network order */
    return (uint16_t)(tuoi_little_endian() ? (v & 0xFFu) << 8 | (v >> 8 & 0xFFu) : v);
}
TUOI_INLINE void tuoi_wr16(uint8_t *p, uint32_t v) {
    const uint16_t word = tuoi_big16(v);
    TUO_MEMCPY(p, &word, 2);
}
TUOI_INLINE uint32_t tuoi_big32(uint32_t v) {
    return tuoi_little_endian() ? (uint32_t)tuoi_big16(v) << 16 | tuoi_big16(v >> 16) : v;
}
TUOI_INLINE void tuoi_wr32(uint8_t *p, uint32_t v) {
    const uint32_t word = tuoi_big32(v);
    TUO_MEMCPY(p, &word, 4);
}
TUOI_INLINE void tuoi_store16(uint8_t *p, uint16_t word) { TUO_MEMCPY(p, &word, 2); } /* native order */
TUOI_INLINE uint16_t tuoi_load16(const uint8_t *p) { /* native order, as all of these */
    uint16_t v;
    TUO_MEMCPY(&v, p, 2);
    return v;
}
TUOI_INLINE uint32_t tuoi_load32(const uint8_t *p) {
    uint32_t v;
    TUO_MEMCPY(&v, p, 4);
    return v;
}
TUOI_INLINE uint64_t tuoi_load64(const uint8_t *p) {
    uint64_t v;
    TUO_MEMCPY(&v, p, 8);
    return v;
}
TUOI_INLINE int tuoi_same_bytes(const uint8_t *a, const uint8_t *b, size_t len) {
    return len == 0 || TUO_MEMCMP(a, b, len) == 0;
}
TUOI_INLINE uint32_t tuoi_lowest_bit(uint32_t bits) { /* number of the lowest bit that is set; one is */
#if defined(__GNUC__) || defined(__clang__)
    return (uint32_t)__builtin_ctz(bits);
#else
    uint32_t bit = 0;
    while (!(bits >> bit & 1u)) bit++;
    return bit;
#endif
}
TUOI_INLINE uint32_t tuoi_min32(uint32_t a, uint32_t b) { return a < b ? a : b; }
TUOI_INLINE uint32_t tuoi_max32(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* TCP sequence numbers count modulo 2^32 (RFC 9293 3.4). */
TUOI_WRAPS TUOI_FORCE_INLINE uint32_t tuoi_seq_add(uint32_t seq, uint32_t len) { return seq + len; }

#if TUOI_BASE_SSE2
TUOI_FORCE_INLINE __m128i tuoi_differing_sse2(const uint8_t *a, const uint8_t *b, const uint8_t *mask, uint32_t at) {
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + at));
    const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + at));
    return _mm_and_si128(_mm_xor_si128(x, y), _mm_loadu_si128((const __m128i *)(const void *)(mask + at)));
}
#else
TUOI_INLINE uint64_t tuoi_differing(const uint8_t *a, const uint8_t *b, const uint8_t *mask, uint32_t at) {
    return (tuoi_load64(a + at) ^ tuoi_load64(b + at)) & tuoi_load64(mask + at);
}
#endif

/* Are len bytes, 16 or more, equal under the mask? The last step overlaps the one before it. */
TUOI_FORCE_INLINE int tuoi_equal_masked(const uint8_t *a, const uint8_t *b, const uint8_t *mask, uint32_t len) {
#if TUOI_BASE_SSE2
    const uint32_t last = len - 16;
    __m128i differing =
        _mm_or_si128(tuoi_differing_sse2(a, b, mask, 0), tuoi_differing_sse2(a, b, mask, last));
    uint32_t i;
    for (i = 16; i < last; i += 16) differing = _mm_or_si128(differing, tuoi_differing_sse2(a, b, mask, i));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(differing, _mm_setzero_si128())) == 0xFFFF;
#else
    uint64_t differing = tuoi_differing(a, b, mask, len - 8);
    uint32_t i;
    for (i = 0; i < len - 8; i += 8) differing |= tuoi_differing(a, b, mask, i);
    return differing == 0;
#endif
}

/* --------------------------------------------------------------------------------------- >>wire */
/* Offsets and bits of the headers, from the start of each header. */

enum {
    TUOI_ETH_LEN = 14, TUOI_ETH_TYPE = 12, TUOI_VLAN_LEN = 4,                      /* IEEE 802.3, 802.1Q 9 */
    TUOI_ETHERTYPE_IP4 = 0x0800, TUOI_ETHERTYPE_IP6 = 0x86DD,
    TUOI_ETHERTYPE_VLAN = 0x8100, TUOI_ETHERTYPE_QINQ = 0x88A8, TUOI_ETHERTYPE_ETHERNET = 0x6558,

    TUOI_IP4_LEN = 20, TUOI_IP4_TOS = 1, TUOI_IP4_TOTAL = 2, TUOI_IP4_ID = 4, TUOI_IP4_FRAG = 6, TUOI_IP4_TTL = 8,
    TUOI_IP4_PROTO = 9, TUOI_IP4_CSUM = 10, TUOI_IP4_SRC = 12,                         /* RFC 791 3.1 */
    TUOI_IP4_RESERVED = 0x8000, TUOI_IP4_DF = 0x4000, TUOI_IP4_MF_OFFSET = 0x3FFF,

    /* RFC 8200 3 */
    TUOI_IP6_LEN = 40, TUOI_IP6_PAYLOAD = 4, TUOI_IP6_NEXT = 6, TUOI_IP6_HOP = 7, TUOI_IP6_SRC = 8,

    TUOI_PROTO_HOPOPTS = 0, TUOI_PROTO_TCP = 6, TUOI_PROTO_UDP = 17, TUOI_PROTO_ROUTING = 43, TUOI_PROTO_FRAGMENT = 44,
    TUOI_PROTO_AH = 51, TUOI_PROTO_DSTOPTS = 60, TUOI_PROTO_MOBILITY = 135, TUOI_PROTO_HIP = 139,
    TUOI_PROTO_SHIM6 = 140, TUOI_PROTO_EXPERIMENT1 = 253, TUOI_PROTO_EXPERIMENT2 = 254, /* RFC 8200 4, RFC 7045 */
    TUOI_FRAGMENT_LEN = 8,
    TUOI_OPTION_PAD1 = 0, TUOI_OPTION_PADN = 1,                                        /* RFC 8200 4.2 */
    TUOI_OPTION_JUMBO = 0xC2, TUOI_OPTION_JUMBO_LEN = 6,                               /* RFC 2675 2 */

    TUOI_TCP_LEN = 20, TUOI_TCP_SEQ = 4, TUOI_TCP_ACK = 8, TUOI_TCP_DOFF = 12, TUOI_TCP_FLAGS = 13,
    TUOI_TCP_WINDOW = 14, TUOI_TCP_CSUM = 16, TUOI_TCP_URGENT = 18,                     /* RFC 9293 3.1 */
    TUOI_FIN = 1, TUOI_SYN = 2, TUOI_RST = 4, TUOI_PSH = 8, TUOI_URG = 32, TUOI_CWR = 128,

    TUOI_UDP_LEN = 8, TUOI_UDP_TOTAL = 4, TUOI_UDP_CSUM = 6,                       /* RFC 768 */
    TUOI_UDP_SEGS_MAX = 128,       /* linux include/linux/udp.h UDP_MAX_SEGMENTS */
    TUOI_UDP_PAYLOAD_MAX = 65507,  /* 65535 - TUOI_IP4_LEN - TUOI_UDP_LEN */
    TUOI_TCP_GSO_SIZE_MIN = 8      /* linux include/net/tcp.h TCP_MIN_GSO_SIZE */
};

/* What differs between the four kinds, as data. */
typedef struct tuoi_kind_row {
    uint8_t ip_version, l4_proto, gso_type, l4_csum_off;
    uint8_t addr_off, addr_len;
    uint8_t tunnel_type; /* bit of gso_type if these are the headers around another packet */
} tuoi_kind_row;

static const tuoi_kind_row tuoi_kinds[5] = {
    { 0, 0, TUO_GSO_NONE, 0, 0, 0, 0 },
    { 4, TUOI_PROTO_TCP, TUO_GSO_TCPV4, TUOI_TCP_CSUM, TUOI_IP4_SRC, 4, 0 },
    { 4, TUOI_PROTO_UDP, TUO_GSO_UDP_L4, TUOI_UDP_CSUM, TUOI_IP4_SRC, 4, TUO_GSO_UDP_TUNNEL_IPV4 },
    { 6, TUOI_PROTO_TCP, TUO_GSO_TCPV6, TUOI_TCP_CSUM, TUOI_IP6_SRC, 16, 0 },
    { 6, TUOI_PROTO_UDP, TUO_GSO_UDP_L4, TUOI_UDP_CSUM, TUOI_IP6_SRC, 16, TUO_GSO_UDP_TUNNEL_IPV6 },
};

TUOI_INLINE int tuoi_is_tcp(unsigned kind) { return kind == TUO_KIND_TCP4 || kind == TUO_KIND_TCP6; }
TUOI_INLINE int tuoi_is_ip4(unsigned kind) { return kind == TUO_KIND_TCP4 || kind == TUO_KIND_UDP4; }

/* A gso_type is a type of segments, with bits or-ed on. */
TUOI_INLINE unsigned tuoi_gso_tunnel(unsigned gso_type) {
    return gso_type & (TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6);
}
TUOI_INLINE unsigned tuoi_gso_base(unsigned gso_type) {
    return gso_type & ~(unsigned)(TUO_GSO_ECN | TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6);
}

/* ----------------------------------------------------------------------------------- >>checksum */
/* Owns the one's complement sum. Inside, a "raw" sum adds the bytes as native-endian words of any
   width into 64 bits and is folded at the end: RFC 1071 2(B) says that byte order commutes with the
   sum, so only the folded result is swapped. A raw sum starts at 0 or at another raw sum below
   2^48; numeric sums (host numbers of big-endian words) are plain uint32_t and never mixed with raw
   ones.

   One pair of functions per level of tuo_simd: add len bytes to a raw sum, and the same while
   copying. The scalar pair is the specification; a variant does whole vectors and leaves the rest
   to it. */

TUOI_INLINE uint16_t tuoi_fold(uint64_t sum) {
    sum = (sum >> 32) + (sum & 0xFFFFFFFFu);
    sum = (sum >> 32) + (sum & 0xFFFFFFFFu);
    sum = (sum >> 16) + (sum & 0xFFFFu);
    sum = (sum >> 16) + (sum & 0xFFFFu);
    return (uint16_t)sum;
}

TUOI_INLINE uint16_t tuoi_fold32(uint32_t sum) {
    sum = (sum >> 16) + (sum & 0xFFFFu);
    return (uint16_t)((sum >> 16) + sum);
}

/* The folded raw sum as the number a big-endian reader sees. */
TUOI_INLINE uint16_t tuoi_fold_raw(uint64_t raw) {
    const uint32_t folded = tuoi_fold(raw);
    return tuoi_big16(folded); /* its own inverse */
}

/* An odd last byte as a native-endian word, padded with 0 behind it: RFC 1071 1. */
TUOI_INLINE uint16_t tuoi_pad16(uint8_t last) {
    uint8_t padded[2] = { 0, 0 };
    padded[0] = last;
    return tuoi_load16(padded);
}

/* Both scalar functions in one: dst is NULL, known at compile time, where nothing is copied. Each
   half word adds less than 2^32 to an accumulator, so 2^31 bytes stay far below 2^64. */
TUOI_FORCE_INLINE uint64_t tuoi_scalar(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    uint64_t low = raw, high = 0;
    size_t at = 0;
    for (; len - at >= 32; at += 32) {
        const uint64_t a = tuoi_load64(src + at), b = tuoi_load64(src + at + 8);
        const uint64_t c = tuoi_load64(src + at + 16), d = tuoi_load64(src + at + 24);
        if (dst) TUO_MEMCPY(dst + at, src + at, 32);
        low += (a & 0xFFFFFFFFu) + (b & 0xFFFFFFFFu) + (c & 0xFFFFFFFFu) + (d & 0xFFFFFFFFu);
        high += (a >> 32) + (b >> 32) + (c >> 32) + (d >> 32);
    }
    for (; len - at >= 8; at += 8) {
        const uint64_t a = tuoi_load64(src + at);
        if (dst) TUO_MEMCPY(dst + at, &a, 8);
        low += a & 0xFFFFFFFFu;
        high += a >> 32;
    }
    if (len & 4) {
        const uint32_t a = tuoi_load32(src + at);
        if (dst) TUO_MEMCPY(dst + at, &a, 4);
        low += a;
        at += 4;
    }
    if (len & 2) {
        const uint16_t a = tuoi_load16(src + at);
        if (dst) TUO_MEMCPY(dst + at, &a, 2);
        low += a;
        at += 2;
    }
    if (len & 1) {
        if (dst) dst[at] = src[at];
        low += tuoi_pad16(src[at]);
    }
    return low + high;
}

static uint64_t tuoi_sum_scalar(const uint8_t *p, size_t len, uint64_t raw) { return tuoi_scalar(NULL, p, len, raw); }
static uint64_t tuoi_copy_sum_scalar(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    return tuoi_scalar(dst, src, len, raw);
}

typedef struct tuoi_sums {
    uint64_t (*sum)(const uint8_t *p, size_t len, uint64_t raw);
    uint64_t (*copy_sum)(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw);
} tuoi_sums;

static const tuoi_sums tuoi_sums_scalar = { tuoi_sum_scalar, tuoi_copy_sum_scalar };

/* x86: pmaddwd multiplies signed 16-bit words by 1 and adds pairs into 32-bit lanes. Words are made
   signed by flipping the top bit, which takes 32768 from each; afterwards 65536 per vector is added
   back to each lane. A lane then holds at most 131070 per vector, so a block of 2^14 vectors stays
   below 2^32. */
enum { TUOI_BLOCK_LEN = 1 << 18 };

#if TUOI_HAVE_SSE2
TUOI_TARGET("sse2") TUOI_FORCE_INLINE __m128i tuoi_load_sse2(uint8_t *dst, const uint8_t *src, size_t at) {
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(src + at));
    if (dst) _mm_storeu_si128((__m128i *)(void *)(dst + at), v);
    return _mm_madd_epi16(_mm_xor_si128(v, _mm_set1_epi16((short)-32768)), _mm_set1_epi16(1));
}

TUOI_TARGET("sse2") TUOI_FORCE_INLINE uint64_t tuoi_total_sse2(__m128i lanes, size_t vector_count) {
    const __m128i all = _mm_add_epi32(lanes, _mm_set1_epi32((int)(vector_count * 65536u)));
    const __m128i low = _mm_and_si128(all, _mm_set_epi32(0, -1, 0, -1));
    uint64_t pair[2];
    _mm_storeu_si128((__m128i *)(void *)pair, _mm_add_epi64(low, _mm_srli_epi64(all, 32)));
    return pair[0] + pair[1];
}

TUOI_TARGET("sse2")
TUOI_FORCE_INLINE uint64_t tuoi_any_sse2(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    while (len >= 16) {
        const size_t block_len = (len < TUOI_BLOCK_LEN ? len : (size_t)TUOI_BLOCK_LEN) / 16 * 16;
        __m128i a = _mm_setzero_si128(), b = a, c = a, d = a;
        size_t at = 0;
        for (; block_len - at >= 64; at += 64) {
            a = _mm_add_epi32(a, tuoi_load_sse2(dst, src, at));
            b = _mm_add_epi32(b, tuoi_load_sse2(dst, src, at + 16));
            c = _mm_add_epi32(c, tuoi_load_sse2(dst, src, at + 32));
            d = _mm_add_epi32(d, tuoi_load_sse2(dst, src, at + 48));
        }
        for (; at < block_len; at += 16) a = _mm_add_epi32(a, tuoi_load_sse2(dst, src, at));
        raw += tuoi_total_sse2(_mm_add_epi32(_mm_add_epi32(a, b), _mm_add_epi32(c, d)), block_len / 16);
        src += block_len;
        if (dst) dst += block_len;
        len -= block_len;
    }
    return tuoi_scalar(dst, src, len, raw);
}

TUOI_TARGET("sse2") static uint64_t tuoi_sum_sse2(const uint8_t *p, size_t len, uint64_t raw) {
    return tuoi_any_sse2(NULL, p, len, raw);
}
TUOI_TARGET("sse2") static uint64_t tuoi_copy_sum_sse2(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    return tuoi_any_sse2(dst, src, len, raw);
}
static const tuoi_sums tuoi_sums_sse2 = { tuoi_sum_sse2, tuoi_copy_sum_sse2 };
#endif /* sse2 */

#if TUOI_HAVE_AVX
TUOI_TARGET("avx2") TUOI_FORCE_INLINE __m256i tuoi_load_avx2(uint8_t *dst, const uint8_t *src, size_t at) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(src + at));
    if (dst) _mm256_storeu_si256((__m256i *)(void *)(dst + at), v);
    return _mm256_madd_epi16(_mm256_xor_si256(v, _mm256_set1_epi16((short)-32768)), _mm256_set1_epi16(1));
}

TUOI_TARGET("avx2") TUOI_FORCE_INLINE uint64_t tuoi_total_avx2(__m256i lanes, size_t vector_count) {
    const __m256i all = _mm256_add_epi32(lanes, _mm256_set1_epi32((int)(vector_count * 65536u)));
    const __m256i wide =
        _mm256_add_epi64(_mm256_blend_epi32(all, _mm256_setzero_si256(), 0xAA), _mm256_srli_epi64(all, 32));
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    uint64_t pair[2];
    _mm_storeu_si128((__m128i *)(void *)pair, half);
    return pair[0] + pair[1];
}

TUOI_TARGET("avx2")
TUOI_FORCE_INLINE uint64_t tuoi_any_avx2(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    while (len >= 32) {
        const size_t block_len = (len < TUOI_BLOCK_LEN ? len : (size_t)TUOI_BLOCK_LEN) / 32 * 32;
        __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
        size_t at = 0;
        for (; block_len - at >= 128; at += 128) {
            a = _mm256_add_epi32(a, tuoi_load_avx2(dst, src, at));
            b = _mm256_add_epi32(b, tuoi_load_avx2(dst, src, at + 32));
            c = _mm256_add_epi32(c, tuoi_load_avx2(dst, src, at + 64));
            d = _mm256_add_epi32(d, tuoi_load_avx2(dst, src, at + 96));
        }
        for (; at < block_len; at += 32) a = _mm256_add_epi32(a, tuoi_load_avx2(dst, src, at));
        raw += tuoi_total_avx2(_mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d)), block_len / 32);
        src += block_len;
        if (dst) dst += block_len;
        len -= block_len;
    }
    return tuoi_scalar(dst, src, len, raw);
}

TUOI_TARGET("avx2") static uint64_t tuoi_sum_avx2(const uint8_t *p, size_t len, uint64_t raw) {
    return tuoi_any_avx2(NULL, p, len, raw);
}
TUOI_TARGET("avx2") static uint64_t tuoi_copy_sum_avx2(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    return tuoi_any_avx2(dst, src, len, raw);
}
static const tuoi_sums tuoi_sums_avx2 = { tuoi_sum_avx2, tuoi_copy_sum_avx2 };

/* VPDPWSSD is pmaddwd with an addition. No masks: they are not quicker for the rest, and clang 14
   crashes on them with sanitizers. */
#define TUOI_TARGET_AVX512 TUOI_TARGET("avx2,avx512f,avx512bw,avx512vnni")
TUOI_TARGET_AVX512 TUOI_FORCE_INLINE __m512i tuoi_load_avx512(__m512i lanes, uint8_t *dst, const uint8_t *src,
                                                              size_t at) {
    const __m512i v = _mm512_loadu_si512((const void *)(src + at));
    if (dst) _mm512_storeu_si512((void *)(dst + at), v);
    return _mm512_dpwssd_epi32(lanes, _mm512_xor_si512(v, _mm512_set1_epi16((short)-32768)), _mm512_set1_epi16(1));
}

/* Halves by way of memory: g++ warns about the intrinsics that would take them apart. */
TUOI_TARGET_AVX512 TUOI_FORCE_INLINE uint64_t tuoi_total_avx512(__m512i lanes, size_t vector_count, __m256i half,
                                                                size_t half_count) {
    uint8_t bytes[64];
    _mm512_storeu_si512((void *)bytes, lanes);
    half = _mm256_add_epi32(half, _mm256_loadu_si256((const __m256i *)(const void *)bytes));
    half = _mm256_add_epi32(half, _mm256_loadu_si256((const __m256i *)(const void *)(bytes + 32)));
    return tuoi_total_avx2(half, 2 * vector_count + half_count);
}

TUOI_TARGET_AVX512 TUOI_FORCE_INLINE uint64_t tuoi_any_avx512(uint8_t *dst, const uint8_t *src, size_t len,
                                                              uint64_t raw) {
    while (len >= 64) {
        const size_t block_len = (len < TUOI_BLOCK_LEN ? len : (size_t)TUOI_BLOCK_LEN) / 32 * 32;
        __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
        __m256i half = _mm256_setzero_si256();
        size_t at = 0;
        for (; block_len - at >= 256; at += 256) {
            a = tuoi_load_avx512(a, dst, src, at);
            b = tuoi_load_avx512(b, dst, src, at + 64);
            c = tuoi_load_avx512(c, dst, src, at + 128);
            d = tuoi_load_avx512(d, dst, src, at + 192);
        }
        for (; block_len - at >= 64; at += 64) a = tuoi_load_avx512(a, dst, src, at);
        if (at < block_len) half = tuoi_load_avx2(dst, src, at);
        raw += tuoi_total_avx512(_mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d)), block_len / 64, half,
                                 block_len / 32 % 2);
        src += block_len;
        if (dst) dst += block_len;
        len -= block_len;
    }
    return tuoi_scalar(dst, src, len, raw);
}

/* Below 320 bytes AVX2 is quicker. Two tail calls cost less than a function that holds both. */
TUOI_TARGET_AVX512 static TUOI_NOINLINE uint64_t tuoi_sum_long_avx512(const uint8_t *p, size_t len, uint64_t raw) {
    return tuoi_any_avx512(NULL, p, len, raw);
}
TUOI_TARGET_AVX512 static TUOI_NOINLINE uint64_t tuoi_copy_sum_long_avx512(uint8_t *dst, const uint8_t *src, size_t len,
                                                                           uint64_t raw) {
    return tuoi_any_avx512(dst, src, len, raw);
}
static uint64_t tuoi_sum_avx512(const uint8_t *p, size_t len, uint64_t raw) {
    return len < 320 ? tuoi_sum_avx2(p, len, raw) : tuoi_sum_long_avx512(p, len, raw);
}
static uint64_t tuoi_copy_sum_avx512(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    return len < 320 ? tuoi_copy_sum_avx2(dst, src, len, raw) : tuoi_copy_sum_long_avx512(dst, src, len, raw);
}
static const tuoi_sums tuoi_sums_avx512 = { tuoi_sum_avx512, tuoi_copy_sum_avx512 };
#endif /* avx2, avx512 */

#if TUOI_HAVE_NEON
/* Pairs of words are added into 32-bit lanes, which have room for 2^15 vectors. */
TUOI_FORCE_INLINE uint32x4_t tuoi_add_neon(uint32x4_t lanes, uint8_t *dst, const uint8_t *src, size_t at) {
    const uint8x16_t v = vld1q_u8(src + at);
    if (dst) vst1q_u8(dst + at, v);
    return vpadalq_u16(lanes, vreinterpretq_u16_u8(v));
}

TUOI_FORCE_INLINE uint64_t tuoi_any_neon(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    while (len >= 16) {
        const size_t block_len = (len < TUOI_BLOCK_LEN ? len : (size_t)TUOI_BLOCK_LEN) / 16 * 16;
        uint32x4_t a = vdupq_n_u32(0), b = a, c = a, d = a;
        uint64x2_t wide;
        size_t at = 0;
        for (; block_len - at >= 64; at += 64) {
            a = tuoi_add_neon(a, dst, src, at);
            b = tuoi_add_neon(b, dst, src, at + 16);
            c = tuoi_add_neon(c, dst, src, at + 32);
            d = tuoi_add_neon(d, dst, src, at + 48);
        }
        for (; at < block_len; at += 16) a = tuoi_add_neon(a, dst, src, at);
        wide = vpadalq_u32(vpadalq_u32(vpaddlq_u32(a), b), c);
        wide = vpadalq_u32(wide, d);
        raw += vgetq_lane_u64(wide, 0) + vgetq_lane_u64(wide, 1);
        src += block_len;
        if (dst) dst += block_len;
        len -= block_len;
    }
    return tuoi_scalar(dst, src, len, raw);
}

static uint64_t tuoi_sum_neon(const uint8_t *p, size_t len, uint64_t raw) { return tuoi_any_neon(NULL, p, len, raw); }
static uint64_t tuoi_copy_sum_neon(uint8_t *dst, const uint8_t *src, size_t len, uint64_t raw) {
    return tuoi_any_neon(dst, src, len, raw);
}
static const tuoi_sums tuoi_sums_neon = { tuoi_sum_neon, tuoi_copy_sum_neon };
#endif /* neon */

/* What the compiler's target has for certain. */
static tuo_simd tuoi_simd_baseline(void) {
#if TUOI_HAVE_AVX && defined(__AVX512BW__) && defined(__AVX512VNNI__)
    return TUO_SIMD_AVX512;
#elif TUOI_HAVE_AVX && defined(__AVX2__)
    return TUO_SIMD_AVX2;
#elif TUOI_BASE_SSE2
    return TUO_SIMD_SSE2;
#elif TUOI_HAVE_NEON
    return TUO_SIMD_NEON;
#else
    return TUO_SIMD_SCALAR;
#endif
}

/* The level that the processor has and whose registers the system saves (Intel SDM volume 1, 14.3
   and 15.3). */
TUO_API tuo_simd tuo_simd_best(void) {
    tuo_simd best = tuoi_simd_baseline();
#if TUOI_HAVE_AVX
    enum { OSXSAVE = 1 << 27, EDX_SSE2 = 1 << 26, XMM_YMM = 0x06, ZMM_OPMASK = 0xE0 };
    unsigned a, b, c, d, saved = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return best;
    if ((d & EDX_SSE2) && best < TUO_SIMD_SSE2) best = TUO_SIMD_SSE2;
    if (c & OSXSAVE) __asm__ volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    if ((saved & XMM_YMM) != XMM_YMM || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return best;
    if ((b >> 5 & 1) && best < TUO_SIMD_AVX2) best = TUO_SIMD_AVX2;
    /* F, BW, VNNI */
    if ((saved & ZMM_OPMASK) == ZMM_OPMASK && (b >> 16 & 1) && (b >> 30 & 1) && (c >> 11 & 1)) best = TUO_SIMD_AVX512;
#endif
    return best;
}

/* NULL: not in this build. */
static const tuoi_sums *tuoi_sums_of(tuo_simd level) {
    switch ((int)level) {
        case TUO_SIMD_SCALAR: return &tuoi_sums_scalar;
#if TUOI_HAVE_SSE2
        case TUO_SIMD_SSE2: return &tuoi_sums_sse2;
#endif
#if TUOI_HAVE_AVX
        case TUO_SIMD_AVX2: return &tuoi_sums_avx2;
        case TUO_SIMD_AVX512: return &tuoi_sums_avx512;
#endif
#if TUOI_HAVE_NEON
        case TUO_SIMD_NEON: return &tuoi_sums_neon;
#endif
        default: return NULL;
    }
}

TUO_API int tuo_simd_usable(tuo_simd level) {
    return level == TUO_SIMD_DETECT || (tuoi_sums_of(level) && level <= tuo_simd_best());
}

/* For calls that keep nothing: the level in the flags, or the baseline. */
static const tuoi_sums *tuoi_sums_flagged(unsigned flags) {
    const tuoi_sums *const sums = tuoi_sums_of((tuo_simd)(flags >> 8 & 0xFFu));
    return sums ? sums : tuoi_sums_of(tuoi_simd_baseline());
}

/* The number that the bytes sum to. For headers, which are too short for vectors; payloads are
   summed by tuoi_sums. */
TUOI_INLINE uint32_t tuoi_sum(const uint8_t *p, size_t len) { return tuoi_fold_raw(tuoi_scalar(NULL, p, len, 0)); }

/* What a checksum field holds for a sum, numeric or raw like it. UDP has no 0 (RFC 768): 0 means
   "none" there. */
TUOI_INLINE uint16_t tuoi_finish(uint32_t sum, int udp) {
    const uint16_t checksum = (uint16_t)~tuoi_fold32(sum);
    return checksum == 0 && udp ? 0xFFFFu : checksum;
}

TUO_API uint16_t tuo_csum(const void *bytes, size_t len, uint16_t initial) {
    const uint64_t raw = tuoi_sums_flagged(0)->sum((const uint8_t *)bytes, len, 0);
    return tuoi_fold((uint64_t)tuoi_fold_raw(raw) + initial);
}

TUO_API uint16_t tuo_csum_copy(const void *src, size_t len, uint16_t initial, void *dst) {
    const uint64_t raw = tuoi_sums_flagged(0)->copy_sum((uint8_t *)dst, (const uint8_t *)src, len, 0);
    return tuoi_fold((uint64_t)tuoi_fold_raw(raw) + initial);
}

TUO_API uint16_t tuo_csum_pseudo(const void *src, const void *dst, size_t addr_len, uint8_t proto, uint32_t l4_len) {
    const uint64_t addresses =
        (uint64_t)tuoi_sum((const uint8_t *)src, addr_len) + tuoi_sum((const uint8_t *)dst, addr_len);
    return tuoi_fold(addresses + proto + (l4_len >> 16) + (l4_len & 0xFFFFu));
}

/* RFC 1624 equation 3: HC' = ~(~HC + ~m + m'). Of equal words the last two add up to the other
   zero, which would turn 0xffff into 0. */
TUO_API uint16_t tuo_csum_update16(uint16_t checksum, uint16_t old_word, uint16_t new_word) {
    if (old_word == new_word) return checksum;
    return (uint16_t)~tuoi_fold((uint64_t)(uint16_t)~checksum + (uint16_t)~old_word + new_word);
}

TUO_API uint16_t tuo_csum_update32(uint16_t checksum, uint32_t old_word, uint32_t new_word) {
    const uint16_t half = tuo_csum_update16(checksum, (uint16_t)(old_word >> 16), (uint16_t)(new_word >> 16));
    return tuo_csum_update16(half, (uint16_t)old_word, (uint16_t)new_word);
}

/* The finished checksum of a partial one: pkt[start..len) with the seed in the field. Which
   protocol it belongs to is unknown, and both read 0xffff as they read 0x0000. */
static uint16_t tuoi_complete(const tuoi_sums *sums, const uint8_t *pkt, size_t len, size_t start) {
    return tuoi_finish(tuoi_fold_raw(sums->sum(pkt + start, len - start, 0)), 1);
}

TUO_API tuo_result tuo_csum_complete(void *pkt, size_t len, size_t csum_start, size_t csum_offset) {
    uint8_t *const bytes = (uint8_t *)pkt;
    if (csum_start > len || len - csum_start < 2 || csum_offset > len - csum_start - 2) return TUO_E_CSUM_RANGE;
    tuoi_wr16(bytes + csum_start + csum_offset, tuoi_complete(tuoi_sums_flagged(0), bytes, len, csum_start));
    return TUO_OK;
}

/* -------------------------------------------------------------------------------------- >>parse */
/* Turns (pointer, length) into tuo_pkt_info. The only section that compares lengths with header
   fields: once it said TUO_OK, the rest indexes by the info. (The fast path of >>gro compares, too,
   but with a packet that went through here.) Each step checks, then reads; `len` is at most 2^31-1,
   so no sum of offsets here wraps 32 bits. On a negative result the info holds what was found
   before (used by GRO to know which addresses a broken packet belongs to); l4_off is 0 until the
   addresses are known to be there.
   `readable`, at most len, is less than len where a packet comes in pieces: bytes of the first piece.
   A header that does not lie in it is a broken one; lengths are those of the whole packet. */

static tuo_result tuoi_parse_l2(const uint8_t *pkt, uint32_t len, tuo_pkt_info *info) {
    uint32_t off = TUOI_ETH_LEN;
    uint16_t type;
    if (len < off) return TUO_E_TRUNCATED;
    type = tuoi_rd16(pkt + TUOI_ETH_TYPE);
    while (type == TUOI_ETHERTYPE_VLAN || type == TUOI_ETHERTYPE_QINQ) {
        if (info->vlan_count == TUO_VLAN_MAX) return TUO_E_VLAN_DEPTH;
        if (len - off < TUOI_VLAN_LEN) return TUO_E_TRUNCATED;
        type = tuoi_rd16(pkt + off + 2);
        off += TUOI_VLAN_LEN;
        info->vlan_count++;
    }
    info->ethertype = type;
    info->ip_off = off;
    return type == TUOI_ETHERTYPE_IP4 || type == TUOI_ETHERTYPE_IP6 ? TUO_OK : TUO_E_NOT_IP;
}

/* Private flag, beside TUO_F_*: length fields are not filled yet, what is given is the whole
   packet. */
#define TUOI_F_WHOLE 128u

TUOI_FORCE_INLINE int tuoi_to_the_end(uint32_t length_field, unsigned flags) {
    return (flags & (TUO_F_SUPERPACKET | TUOI_F_WHOLE)) && (length_field == 0 || (flags & TUOI_F_WHOLE));
}

TUOI_FORCE_INLINE tuo_result tuoi_parse_ip4(const uint8_t *ip, uint32_t readable, uint32_t len, unsigned flags,
                                            tuo_pkt_info *info) {
    uint16_t frag;
    if (readable < TUOI_IP4_LEN) return TUO_E_TRUNCATED;
    info->ip_hdr_len = (ip[0] & 15u) * 4;
    if (info->ip_hdr_len < TUOI_IP4_LEN) return TUO_E_IP_HEADER;
    info->total_len = tuoi_rd16(ip + TUOI_IP4_TOTAL);
    if (tuoi_to_the_end(info->total_len, flags)) info->total_len = len;
    if (info->total_len < info->ip_hdr_len) return TUO_E_IP_LENGTH;
    if (len < info->ip_hdr_len) return TUO_E_IP_HEADER;
    if (info->total_len > len) return TUO_E_IP_LENGTH;
    frag = tuoi_rd16(ip + TUOI_IP4_FRAG);
    if (frag & TUOI_IP4_MF_OFFSET) info->flags |= TUO_PKT_FRAGMENT;
    if (frag & TUOI_IP4_DF) info->flags |= TUO_PKT_DF;
    if (frag & TUOI_IP4_RESERVED) info->flags |= TUO_PKT_RESERVED_BIT;
    if (info->ip_hdr_len > TUOI_IP4_LEN) info->flags |= TUO_PKT_IP_OPTIONS;
    info->l4_proto = ip[TUOI_IP4_PROTO];
    info->ip_id = tuoi_rd16(ip + TUOI_IP4_ID);
    info->ttl = ip[TUOI_IP4_TTL];
    info->tos = ip[TUOI_IP4_TOS];
    return TUO_OK;
}

/* Headers that can stand in front of TCP or UDP and say nothing that this library could
   understand. */
static int tuoi_ip6_hides_ports(unsigned proto) {
    return proto == TUOI_PROTO_AH || proto == TUOI_PROTO_MOBILITY || proto == TUOI_PROTO_HIP ||
           proto == TUOI_PROTO_SHIM6 || proto == TUOI_PROTO_EXPERIMENT1 || proto == TUOI_PROTO_EXPERIMENT2;
}

/* Walk the chain in ip[40..end). Hop-by-hop, routing and destination options are stepped over; a
   fragment header ends the walk. */
static TUOI_NOINLINE tuo_result tuoi_parse_ip6_ext(const uint8_t *ip, uint32_t end, tuo_pkt_info *info) {
    unsigned next = ip[TUOI_IP6_NEXT], count;
    uint32_t off = TUOI_IP6_LEN;
    for (count = 0; next == TUOI_PROTO_HOPOPTS || next == TUOI_PROTO_ROUTING || next == TUOI_PROTO_DSTOPTS; count++) {
        uint32_t ext_len;
        if (count == TUO_IP6_EXT_MAX || end - off < 8) return TUO_E_IP6_EXT;
        ext_len = 8 + (uint32_t)ip[off + 1] * 8;
        if (end - off < ext_len) return TUO_E_IP6_EXT;
        if (next == TUOI_PROTO_ROUTING && ip[off + 3] != 0) info->flags |= TUO_PKT_ROUTING;
        next = ip[off];
        off += ext_len;
    }
    info->l4_proto = (uint8_t)next;
    info->ip_hdr_len = off;
    if (next == TUOI_PROTO_FRAGMENT) {
        if (end - off < TUOI_FRAGMENT_LEN) return TUO_E_IP6_EXT;
        info->flags |= TUO_PKT_FRAGMENT | TUO_PKT_OPAQUE;
    } else if (tuoi_ip6_hides_ports(next)) {
        info->flags |= TUO_PKT_OPAQUE;
    }
    return TUO_OK;
}

TUOI_FORCE_INLINE tuo_result tuoi_parse_ip6(const uint8_t *ip, uint32_t readable, uint32_t len, unsigned flags,
                                            tuo_pkt_info *info) {
    if (readable < TUOI_IP6_LEN) return TUO_E_TRUNCATED;
    info->ip_hdr_len = TUOI_IP6_LEN;
    info->total_len = TUOI_IP6_LEN + (uint32_t)tuoi_rd16(ip + TUOI_IP6_PAYLOAD);
    /* RFC 2675: with a jumbo payload option the field is 0; on a TUN device a 0 is an oversize
       superpacket. */
    if (tuoi_to_the_end(info->total_len - TUOI_IP6_LEN, flags)) info->total_len = len;
    if (info->total_len > len) return TUO_E_IP_LENGTH;
    info->tos = (uint8_t)(tuoi_rd16(ip) >> 4);
    info->ttl = ip[TUOI_IP6_HOP];
    info->flow_label = tuoi_rd32(ip) & 0xFFFFFu;
    info->l4_proto = ip[TUOI_IP6_NEXT];
    if (info->l4_proto == TUOI_PROTO_TCP || info->l4_proto == TUOI_PROTO_UDP) return TUO_OK;
    return tuoi_parse_ip6_ext(ip, tuoi_min32(info->total_len, readable), info);
}

TUOI_FORCE_INLINE tuo_result tuoi_parse_tcp(const uint8_t *tcp, uint32_t readable, uint32_t len, tuo_pkt_info *info) {
    if (readable < TUOI_TCP_LEN) return TUO_E_TCP_HEADER;
    info->l4_hdr_len = (uint32_t)(tcp[TUOI_TCP_DOFF] >> 4) * 4;
    if (info->l4_hdr_len < TUOI_TCP_LEN || info->l4_hdr_len > readable) return TUO_E_TCP_HEADER;
    info->payload_len = len - info->l4_hdr_len;
    info->seq = tuoi_rd32(tcp + TUOI_TCP_SEQ);
    info->ack = tuoi_rd32(tcp + TUOI_TCP_ACK);
    info->tcp_flags = tcp[TUOI_TCP_FLAGS];
    info->window = tuoi_rd16(tcp + TUOI_TCP_WINDOW);
    return TUO_OK;
}

TUOI_FORCE_INLINE tuo_result tuoi_parse_udp(const uint8_t *udp, uint32_t readable, uint32_t len, unsigned flags,
                                            tuo_pkt_info *info) {
    uint32_t udp_len;
    if (readable < TUOI_UDP_LEN) return TUO_E_UDP_LENGTH;
    udp_len = tuoi_rd16(udp + TUOI_UDP_TOTAL);
    if (tuoi_to_the_end(udp_len, flags)) udp_len = len;
    if (udp_len < TUOI_UDP_LEN || udp_len > len) return TUO_E_UDP_LENGTH;
    info->l4_hdr_len = TUOI_UDP_LEN;
    info->payload_len = udp_len - TUOI_UDP_LEN;
    return TUO_OK;
}

TUOI_FORCE_INLINE tuo_result tuoi_parse_l4(const uint8_t *pkt, uint32_t readable, int whole, unsigned flags,
                                           tuo_pkt_info *info) {
    const uint32_t l4_at = whole ? info->l4_off : tuoi_min32(info->l4_off, readable); /* IPv4 options may be cut */
    const uint8_t *const l4 = pkt + l4_at;
    const uint32_t len = info->ip_off + info->total_len - info->l4_off;
    const uint32_t l4_readable = whole ? len : tuoi_min32(len, readable - l4_at);
    const int tcp = info->l4_proto == TUOI_PROTO_TCP;
    tuo_result result;
    info->payload_off = info->l4_off;
    if ((info->flags & TUO_PKT_FRAGMENT) || (!tcp && info->l4_proto != TUOI_PROTO_UDP)) {
        info->payload_len = len;
        return TUO_OK;
    }
    if (l4_readable >= 4) {
        info->src_port = tuoi_rd16(l4);
        info->dst_port = tuoi_rd16(l4 + 2);
    }
    result = tcp ? tuoi_parse_tcp(l4, l4_readable, len, info) : tuoi_parse_udp(l4, l4_readable, len, flags, info);
    if (result != TUO_OK) return result;
    info->payload_off = info->l4_off + info->l4_hdr_len;
    info->kind = (uint8_t)(info->ip_version == 4 ? (tcp ? TUO_KIND_TCP4 : TUO_KIND_UDP4)
                                                 : (tcp ? TUO_KIND_TCP6 : TUO_KIND_UDP6));
    return TUO_OK;
}

/* whole: readable_len and bytes_len are equal; known at compile time. */
TUOI_FORCE_INLINE tuo_result tuoi_parse_bytes(const uint8_t *pkt, size_t readable_len, size_t bytes_len, int whole,
                                              unsigned flags, tuo_pkt_info *info) {
    const uint32_t readable = (uint32_t)readable_len, len = (uint32_t)bytes_len;
    tuo_result result;
    TUO_MEMSET(info, 0, sizeof *info);
    if (bytes_len > 0x7FFFFFFFu) return TUO_E_INVALID;
    if (flags & TUO_F_ETHERNET) {
        result = tuoi_parse_l2(pkt, readable, info);
        if (result != TUO_OK) return result;
    }
    if (readable - info->ip_off < 1) return TUO_E_TRUNCATED;
    info->ip_version = pkt[info->ip_off] >> 4;
    if (info->ip_version != 4 && info->ip_version != 6) return TUO_E_NOT_IP;
    if (info->ethertype && info->ethertype != (info->ip_version == 4 ? TUOI_ETHERTYPE_IP4 : TUOI_ETHERTYPE_IP6))
        return TUO_E_NOT_IP;
    result = info->ip_version == 4
                 ? tuoi_parse_ip4(pkt + info->ip_off, readable - info->ip_off, len - info->ip_off, flags, info)
                 : tuoi_parse_ip6(pkt + info->ip_off, readable - info->ip_off, len - info->ip_off, flags, info);
    if (result != TUO_OK) return result;
    info->l4_off = info->ip_off + info->ip_hdr_len;
    info->trailer_len = len - info->ip_off - info->total_len;
    return tuoi_parse_l4(pkt, readable, whole, flags, info);
}

static TUOI_NOINLINE tuo_result tuoi_parse_readable(const uint8_t *pkt, size_t readable, size_t len, unsigned flags,
                                                    tuo_pkt_info *info) {
    return tuoi_parse_bytes(pkt, readable, len, 0, flags, info);
}

static tuo_result tuoi_parse(const uint8_t *pkt, size_t len, unsigned flags, tuo_pkt_info *info) {
    return tuoi_parse_bytes(pkt, len, len, 1, flags, info);
}

TUO_API tuo_result tuo_parse(const void *pkt, size_t len, unsigned flags, tuo_pkt_info *info) {
    tuo_pkt_info found;
    const tuo_result result =
        tuoi_parse((const uint8_t *)pkt, len, flags & (TUO_F_ETHERNET | TUO_F_SUPERPACKET), &found);
    if (result == TUO_OK) *info = found;
    return result;
}

/* The jumbo payload option of a parsed packet, in a hop-by-hop header right behind the IPv6 header.
   Returns 0: there is none. Otherwise the bytes of that header, or TUOI_JUMBO_STAYS if it has more
   than this option and padding. */
#define TUOI_JUMBO_STAYS 0xFFFFFFFFu
static uint32_t tuoi_find_jumbo(const uint8_t *ip, const tuo_pkt_info *info) {
    uint32_t at = TUOI_IP6_LEN + 2, end;
    int found = 0, stays = 0;
    if (info->ip_version == 4 || ip[TUOI_IP6_NEXT] != TUOI_PROTO_HOPOPTS) return 0;
    end = TUOI_IP6_LEN + 8 + (uint32_t)ip[TUOI_IP6_LEN + 1] * 8; /* the parser has stepped over it */
    while (at < end) {
        const unsigned type = ip[at];
        const uint32_t len = type == TUOI_OPTION_PAD1 ? 1u : at + 1 == end ? 2u : 2u + ip[at + 1];
        found |= type == TUOI_OPTION_JUMBO;
        stays |= type == TUOI_OPTION_JUMBO ? len != TUOI_OPTION_JUMBO_LEN : type > TUOI_OPTION_PADN;
        at += len;
    }
    if (!found) return 0;
    return stays || at != end ? TUOI_JUMBO_STAYS : end - TUOI_IP6_LEN;
}

/* Where the headers of a TCP or UDP packet are. Offsets are bounded by the parse, or by
   TUO_HEADER_MAX where packets are held. */
typedef struct tuoi_shape {
    uint32_t ip_off, l4_off, hdr_len; /* hdr_len: up to the payload */
    uint8_t kind;
} tuoi_shape;

static tuoi_shape tuoi_shape_of(const tuo_pkt_info *info) {
    tuoi_shape shape;
    shape.ip_off = info->ip_off;
    shape.l4_off = info->l4_off;
    shape.hdr_len = info->payload_off;
    shape.kind = info->kind;
    return shape;
}

/* ------------------------------------------------------------------------------------- >>verify */
/* Owns the question whether a packet's checksums are right: of the IPv4 header, and of TCP or UDP
   with their pseudo-header. */

/* What is known about the checksums of a packet. From L4_RIGHT on something is still open. */
typedef enum tuoi_csum {
    TUOI_CSUM_RIGHT,
    TUOI_CSUM_BAD_IP, TUOI_CSUM_BAD_L4,
    TUOI_CSUM_L4_RIGHT, /* a device has verified TCP or UDP; the IPv4 header is open */
    TUOI_CSUM_UNKNOWN,
    TUOI_CSUM_PIECES    /* unknown as well; the packet is in pieces */
} tuoi_csum;

/* Raw sum of the addresses, which stand next to each other in both IP headers. */
TUOI_FORCE_INLINE uint64_t tuoi_address_sum(const uint8_t *ip, int ip4) {
    return ip4 ? tuoi_scalar(NULL, ip + TUOI_IP4_SRC, 8, 0) : tuoi_scalar(NULL, ip + TUOI_IP6_SRC, 32, 0);
}

/* Pseudo-header sum for an L4 length of l4_len, not folded. */
static uint32_t tuoi_pseudo(const uint8_t *pkt, const tuoi_shape *shape, uint32_t l4_len) {
    const uint64_t addresses = tuoi_address_sum(pkt + shape->ip_off, tuoi_is_ip4(shape->kind));
    return (uint32_t)tuoi_fold_raw(addresses) + tuoi_kinds[shape->kind].l4_proto + (l4_len >> 16) + (l4_len & 0xFFFFu);
}

/* A header is right if its words add up to 0xffff, in any byte order. */
TUOI_FORCE_INLINE int tuoi_ip4_csum_ok(const uint8_t *ip, uint32_t ip_hdr_len) {
    return tuoi_fold(tuoi_scalar(NULL, ip, ip_hdr_len, 0)) == 0xFFFFu;
}

/* Raw sum of the pseudo-header. */
TUOI_FORCE_INLINE uint64_t tuoi_pseudo_raw(const uint8_t *pkt, const tuoi_shape *shape, uint32_t l4_len) {
    return tuoi_address_sum(pkt + shape->ip_off, tuoi_is_ip4(shape->kind)) +
           (uint64_t)tuoi_big16(tuoi_kinds[shape->kind].l4_proto) + tuoi_big16(l4_len >> 16) + tuoi_big16(l4_len);
}

/* copy_to: where to copy the payload in the same pass, or NULL. */
TUOI_FORCE_INLINE int tuoi_l4_csum_ok(const tuoi_sums *sums, const uint8_t *pkt, const tuoi_shape *shape,
                                      uint32_t payload_len, uint8_t *copy_to) {
    const uint32_t l4_hdr_len = shape->hdr_len - shape->l4_off;
    const uint8_t *const l4 = pkt + shape->l4_off;
    const uint32_t l4_len = l4_hdr_len + payload_len;
    uint64_t raw = tuoi_pseudo_raw(pkt, shape, l4_len);
    if (copy_to) {
        raw = sums->copy_sum(copy_to, l4 + l4_hdr_len, payload_len, tuoi_scalar(NULL, l4, l4_hdr_len, raw));
    } else {
        raw = sums->sum(l4, l4_len, raw);
    }
    return tuoi_fold(raw) == 0xFFFFu;
}

/* Sum, not folded, of a packet in pieces from an offset in the first piece on. Behind an odd number of bytes
   the two bytes of each word change places. */
static uint32_t tuoi_sum_pieces(const tuoi_sums *sums, const tuo_iov *iov, size_t iov_count, size_t offset) {
    uint32_t sum = 0;
    size_t i, at = 0;
    for (i = 0; i < iov_count; i++) {
        const size_t len = iov[i].len - offset;
        if (len) {
            const uint32_t of_piece = tuoi_fold_raw(sums->sum((const uint8_t *)iov[i].base + offset, len, 0));
            sum += at & 1 ? (of_piece & 0xFFu) << 8 | of_piece >> 8 : of_piece;
        }
        at += len;
        offset = 0;
    }
    return sum; /* of at most 65535 pieces: max_frags */
}

TUO_API tuo_result tuo_csum_check(const void *pkt, size_t len, unsigned flags) {
    const uint8_t *const bytes = (const uint8_t *)pkt;
    tuo_pkt_info info;
    tuoi_shape shape;
    const tuo_result result = tuoi_parse(bytes, len, flags & TUO_F_ETHERNET, &info);
    if (result != TUO_OK) return result;
    if (info.ip_version == 4 && !tuoi_ip4_csum_ok(bytes + info.ip_off, info.ip_hdr_len)) return TUO_E_IP_CSUM;
    if (info.kind == TUO_KIND_NONE || (info.flags & TUO_PKT_ROUTING)) return TUO_OK;
    if (!tuoi_is_tcp(info.kind) && tuoi_rd16(bytes + info.l4_off + TUOI_UDP_CSUM) == 0) {
        return info.kind == TUO_KIND_UDP4 ? TUO_OK : TUO_E_L4_CSUM;
    }
    shape = tuoi_shape_of(&info);
    return tuoi_l4_csum_ok(tuoi_sums_flagged(flags), bytes, &shape, info.payload_len, NULL) ? TUO_OK : TUO_E_L4_CSUM;
}

/* --------------------------------------------------------------------------------------- >>vnet */
/* Owns the wire form of virtio_net_hdr and the question whether a header fits its packet. */

static int tuoi_vnet_len_ok(size_t len) {
    return len == TUO_VNET_LEN || len == TUO_VNET_LEN_V1 || len == TUO_VNET_LEN_HASH || len == TUO_VNET_LEN_TUNNEL;
}

static int tuoi_order_is_big(tuo_order order) {
    return order == TUO_ORDER_BIG || (order == TUO_ORDER_NATIVE && !tuoi_little_endian());
}

static int tuoi_vnet_layout_ok(size_t vnet_hdr_len, tuo_order order) {
    return tuoi_vnet_len_ok(vnet_hdr_len) && (unsigned)order <= (unsigned)TUO_ORDER_BIG;
}

TUOI_INLINE uint16_t tuoi_rd16_in(const uint8_t *p, int big) {
    return big ? tuoi_rd16(p) : (uint16_t)((unsigned)p[1] << 8 | p[0]);
}
TUOI_INLINE void tuoi_wr16_in(uint8_t *p, int big, uint32_t v) {
    p[big ? 0 : 1] = (uint8_t)(v >> 8);
    p[big ? 1 : 0] = (uint8_t)v;
}

/* linux include/uapi/linux/virtio_net.h: the first 12 bytes in the negotiated order, the rest
   __le16 and __le32. */
TUO_API tuo_result tuo_vnet_decode(const void *bytes, size_t len, size_t vnet_hdr_len, tuo_order order,
                                   tuo_vnet_hdr *vnet) {
    const uint8_t *const p = (const uint8_t *)bytes;
    const int big = tuoi_order_is_big(order);
    if (!tuoi_vnet_layout_ok(vnet_hdr_len, order)) return TUO_E_INVALID;
    if (len < vnet_hdr_len) return TUO_E_TRUNCATED;
    TUO_MEMSET(vnet, 0, sizeof *vnet);
    vnet->flags = p[0];
    vnet->gso_type = p[1];
    vnet->hdr_len = tuoi_rd16_in(p + 2, big);
    vnet->gso_size = tuoi_rd16_in(p + 4, big);
    vnet->csum_start = tuoi_rd16_in(p + 6, big);
    vnet->csum_offset = tuoi_rd16_in(p + 8, big);
    if (vnet_hdr_len >= TUO_VNET_LEN_V1) vnet->num_buffers = tuoi_rd16_in(p + 10, big);
    if (vnet_hdr_len >= TUO_VNET_LEN_HASH) {
        vnet->hash_value = tuoi_rd16_in(p + 12, 0) | (uint32_t)tuoi_rd16_in(p + 14, 0) << 16;
        vnet->hash_report = tuoi_rd16_in(p + 16, 0);
    }
    if (vnet_hdr_len >= TUO_VNET_LEN_TUNNEL) {
        vnet->outer_th_offset = tuoi_rd16_in(p + 20, 0);
        vnet->inner_nh_offset = tuoi_rd16_in(p + 22, 0);
    }
    return TUO_OK;
}

static void tuoi_vnet_write(uint8_t *p, size_t vnet_hdr_len, tuo_order order, const tuo_vnet_hdr *vnet) {
    const int big = tuoi_order_is_big(order);
    if (vnet_hdr_len == 0) return;
    TUO_MEMSET(p, 0, vnet_hdr_len);
    p[0] = vnet->flags;
    p[1] = vnet->gso_type;
    tuoi_wr16_in(p + 2, big, vnet->hdr_len);
    tuoi_wr16_in(p + 4, big, vnet->gso_size);
    tuoi_wr16_in(p + 6, big, vnet->csum_start);
    tuoi_wr16_in(p + 8, big, vnet->csum_offset);
    if (vnet_hdr_len >= TUO_VNET_LEN_V1) tuoi_wr16_in(p + 10, big, vnet->num_buffers);
    if (vnet_hdr_len >= TUO_VNET_LEN_HASH) {
        tuoi_wr16_in(p + 12, 0, vnet->hash_value);
        tuoi_wr16_in(p + 14, 0, vnet->hash_value >> 16);
        tuoi_wr16_in(p + 16, 0, vnet->hash_report);
    }
    if (vnet_hdr_len >= TUO_VNET_LEN_TUNNEL) {
        tuoi_wr16_in(p + 20, 0, vnet->outer_th_offset);
        tuoi_wr16_in(p + 22, 0, vnet->inner_nh_offset);
    }
}

/* A header that says nothing: 10 bytes and more in stores of 8, or none. */
TUOI_FORCE_INLINE void tuoi_vnet_clear(uint8_t *p, size_t vnet_hdr_len) {
    if (vnet_hdr_len == 0) return;
    TUO_MEMSET(p, 0, 8);
    TUO_MEMSET(p + vnet_hdr_len - 8, 0, 8);
    if (vnet_hdr_len > 16) TUO_MEMSET(p + 8, 0, 8);
}

TUO_API tuo_result tuo_vnet_encode(const tuo_vnet_hdr *vnet, size_t vnet_hdr_len, tuo_order order, void *bytes,
                                   size_t capacity) {
    if (!tuoi_vnet_layout_ok(vnet_hdr_len, order)) return TUO_E_INVALID;
    if (capacity < vnet_hdr_len) return TUO_E_NOSPACE;
    tuoi_vnet_write((uint8_t *)bytes, vnet_hdr_len, order, vnet);
    return TUO_OK;
}

/* gso_type and gso_size alone, before the packet is looked at. */
static tuo_result tuoi_vnet_check_gso(const tuo_vnet_hdr *vnet, unsigned flags) {
    const unsigned type = tuoi_gso_base(vnet->gso_type), tunnel = tuoi_gso_tunnel(vnet->gso_type);
    if (vnet->gso_type & TUO_GSO_ACCECN) return TUO_E_VNET_ACCECN; /* K 4.12: nothing else says that CWR stays */
    if (tunnel == (TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6)) return TUO_E_VNET_TUNNEL;
    if (tunnel && (flags & TUO_F_WRITE)) return TUO_E_VNET_TUNNEL;
    if (type == TUO_GSO_UDP) return TUO_E_VNET_UFO;
    if (type != TUO_GSO_NONE && type != TUO_GSO_TCPV4 && type != TUO_GSO_TCPV6 && type != TUO_GSO_UDP_L4)
        return TUO_E_VNET_GSO_TYPE;
    if ((vnet->gso_type & TUO_GSO_ECN) && type != TUO_GSO_TCPV4 && type != TUO_GSO_TCPV6) return TUO_E_VNET_ECN;
    if (type != TUO_GSO_NONE && (vnet->gso_size == 0 || vnet->gso_size == 0xFFFFu)) return TUO_E_VNET_GSO_SIZE;
    return TUO_OK;
}

/* Where the inner IP header starts; 0: the vnet header speaks of another packet. A TAP device inserts
   a tag that neither of the two offsets counts (K 3.22). */
static uint32_t tuoi_vnet_inner_off(const tuo_vnet_hdr *vnet, const tuo_pkt_info *outer) {
    const uint32_t told = vnet->outer_th_offset;
    const uint32_t missed = outer->l4_off != told && outer->vlan_count != 0 ? (uint32_t)TUOI_VLAN_LEN : 0u;
    const uint32_t off = vnet->inner_nh_offset + missed;
    if (outer->l4_off != told + missed) return 0;
    return off < outer->payload_off || off > outer->payload_off + outer->payload_len ? 0 : off;
}

/* A packet in a UDP tunnel: its info, with offsets from the start of the frame, and that of the
   headers around it. What is between the outer UDP header and the inner IP header is opaque: VXLAN,
   Geneve with options, Ethernet, tags. */
static tuo_result tuoi_vnet_parse_tunnel(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags,
                                         tuo_pkt_info *info, tuo_pkt_info *outer) {
    tuo_result result = tuoi_parse(pkt, len, (flags & TUO_F_ETHERNET) | TUO_F_SUPERPACKET, outer);
    uint32_t off;
    if (result != TUO_OK) return result;
    if (outer->flags & TUO_PKT_FRAGMENT) return TUO_E_VNET_FRAGMENT;
    if (tuoi_kinds[outer->kind].tunnel_type != tuoi_gso_tunnel(vnet->gso_type)) return TUO_E_VNET_TUNNEL;
    if (outer->payload_off + outer->payload_len != outer->ip_off + outer->total_len) return TUO_E_UDP_LENGTH;
    off = tuoi_vnet_inner_off(vnet, outer);
    if (off == 0) return TUO_E_VNET_TUNNEL;
    /* a finished checksum, which segments could not have */
    if (!(vnet->flags & TUO_VNET_UDP_TUNNEL_CSUM) && tuoi_rd16(pkt + outer->l4_off + TUOI_UDP_CSUM) != 0)
        return TUO_E_VNET_TUNNEL;
    result = tuoi_parse(pkt + off, outer->payload_off + outer->payload_len - off, TUO_F_SUPERPACKET, info);
    if (result != TUO_OK) return result;
    info->ip_off += off;
    info->l4_off += off;
    info->payload_off += off;
    return info->trailer_len ? TUO_E_IP_LENGTH : TUO_OK;
}

/* A single packet that is marked as one in a tunnel (K 3.23). Is there a seed in its outer UDP
   header, and the TCP or UDP header behind it at csum_start? */
static int tuoi_vnet_is_single(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags,
                               tuo_pkt_info *info, tuo_pkt_info *outer) {
    const unsigned both = TUO_VNET_NEEDS_CSUM | TUO_VNET_UDP_TUNNEL_CSUM;
    return tuoi_gso_tunnel(vnet->gso_type) && (vnet->flags & both) == both &&
           tuoi_vnet_parse_tunnel(vnet, pkt, len, flags, info, outer) == TUO_OK && info->kind != TUO_KIND_NONE &&
           vnet->csum_start == info->l4_off && vnet->csum_offset == tuoi_kinds[info->kind].l4_csum_off &&
           info->payload_off + info->payload_len == outer->payload_off + outer->payload_len;
}

/* Can the headers be stamped on segments of size payload bytes? outer: of kind NONE without a
   tunnel. */
static tuo_result tuoi_vnet_check_segment(const tuo_pkt_info *info, const tuo_pkt_info *outer, uint32_t size) {
    const tuo_pkt_info *const around = outer->kind != TUO_KIND_NONE ? outer : info;
    const uint32_t fixed_len = around->ip_version == 4 ? 0 : (uint32_t)TUOI_IP6_LEN; /* what the field does not count */
    if (info->payload_off > TUO_HEADER_MAX) return TUO_E_HEADER_TOO_LONG;
    return info->payload_off - around->ip_off + size - fixed_len > 0xFFFFu ? TUO_E_VNET_GSO_SIZE : TUO_OK;
}

/* A GSO header against the parsed packet. Both checksum fields are only looked at under NEEDS_CSUM:
   without it they mean nothing. The payload of UDP becomes the whole IP payload, as in the kernel,
   where the length field only counts in the seed (K 1.17). */
static tuo_result tuoi_vnet_check_packet(const tuo_vnet_hdr *vnet, tuo_pkt_info *info, const tuo_pkt_info *outer) {
    const unsigned type = tuoi_gso_base(vnet->gso_type);
    if (info->flags & TUO_PKT_FRAGMENT) return TUO_E_VNET_FRAGMENT;
    if (info->kind == TUO_KIND_NONE || tuoi_is_tcp(info->kind) == (type == TUO_GSO_UDP_L4)) return TUO_E_VNET_PROTOCOL;
    if (type != tuoi_kinds[info->kind].gso_type) return TUO_E_VNET_IP_VERSION;
    if (vnet->flags & TUO_VNET_NEEDS_CSUM) {
        if (vnet->csum_start != info->l4_off) return TUO_E_VNET_CSUM_START;
        if (vnet->csum_offset != tuoi_kinds[info->kind].l4_csum_off) return TUO_E_VNET_CSUM_OFFSET;
    } else if (type == TUO_GSO_UDP_L4 || outer->kind != TUO_KIND_NONE) {
        return TUO_E_VNET_NEEDS_CSUM;
    }
    info->payload_len = info->ip_off + info->total_len - info->payload_off;
    if (info->payload_len <= vnet->gso_size) return TUO_OK; /* an ordinary packet (K 1.7h) */
    return tuoi_vnet_check_segment(info, outer, vnet->gso_size);
}

/* Payload as the kernel counts it: all that is behind csum_start and the shortest TCP or UDP header
   (K 1.7 f, h, 1.8); without csum_start at worst behind the length of such a header (K 1.28). */
static uint32_t tuoi_vnet_counted(const tuo_vnet_hdr *vnet, size_t len, const tuo_pkt_info *info) {
    const uint32_t l4_off = vnet->flags & TUO_VNET_NEEDS_CSUM ? info->l4_off : 0;
    return (uint32_t)len - l4_off - (uint32_t)(tuoi_is_tcp(info->kind) ? TUOI_TCP_LEN : TUOI_UDP_LEN);
}

/* What the kernel would refuse of a packet with a GSO type, or would take and then drop or
   corrupt. */
static tuo_result tuoi_vnet_check_write_gso(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len,
                                            const tuo_pkt_info *info) {
    const int tcp = tuoi_is_tcp(info->kind), ip4 = info->ip_version == 4;
    const uint32_t counted = tuoi_vnet_counted(vnet, len, info);
    const uint32_t l4_len = info->ip_off + info->total_len - info->l4_off;
    const uint16_t length_field = tuoi_rd16(pkt + info->ip_off + (ip4 ? TUOI_IP4_TOTAL : TUOI_IP6_PAYLOAD));
    if (length_field == 0 && !(ip4 && tcp && counted > vnet->gso_size)) return TUO_E_IP_LENGTH;    /* K 1.16 */
    if (info->ip_off && info->trailer_len) return TUO_E_IP_LENGTH;                                 /* K 1.25 */
    if (!tcp && tuoi_rd16(pkt + info->l4_off + TUOI_UDP_TOTAL) != l4_len) return TUO_E_UDP_LENGTH; /* K 1.17 */
    if ((info->flags & TUO_PKT_ROUTING) && !(vnet->flags & TUO_VNET_NEEDS_CSUM)) return TUO_E_VNET_NEEDS_CSUM;
    if (counted <= vnet->gso_size) return TUO_OK;
    if (info->payload_len == 0) return TUO_E_VNET_NO_PAYLOAD;
    if (info->payload_len <= vnet->gso_size) return TUO_E_VNET_GSO_SIZE;
    return !tcp && counted > (uint32_t)vnet->gso_size * TUOI_UDP_SEGS_MAX ? TUO_E_VNET_SEG_LIMIT : TUO_OK;
}

/* The kernel cuts off what is behind the IP packet, and drops a packet whose checksum field is
   there (K 1.26). Of broken packets total_len is what the length field says, or 0. */
static int tuoi_vnet_field_is_cut_off(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags) {
    tuo_pkt_info info;
    (void)tuoi_parse(pkt, len, flags & TUO_F_ETHERNET, &info);
    return info.total_len && (uint32_t)vnet->csum_start + vnet->csum_offset + 2 > info.ip_off + info.total_len;
}

/* The kernel counts in 16 bits from the start of its buffer, which begins with up to 258 bytes of
   headroom (K 1.27). */
#define TUOI_CSUM_START_MAX (0xFFFF - 1 - 258)

/* linux drivers/net/tun.c tun_get_user, include/linux/virtio_net.h __virtio_net_hdr_to_skb; K 1.7
   a-c, e. */
static tuo_result tuoi_vnet_check_write(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags,
                                        const tuo_pkt_info *info) {
    const size_t ip_off = flags & TUO_F_ETHERNET ? TUOI_ETH_LEN : 0;
    if (len < ip_off || len == 0) return TUO_E_TRUNCATED;
    if (ip_off == 0 && pkt[0] >> 4 != 4 && pkt[0] >> 4 != 6) return TUO_E_NOT_IP;
    if (vnet->hdr_len > len) return TUO_E_VNET_HDR_LEN;
    if (vnet->flags & TUO_VNET_NEEDS_CSUM) { /* which raises the hdr_len that the kernel uses */
        if (vnet->csum_start < TUOI_IP4_LEN || vnet->csum_start > TUOI_CSUM_START_MAX) return TUO_E_VNET_CSUM_START;
    } else if (vnet->hdr_len && vnet->hdr_len < ip_off) {
        return TUO_E_VNET_HDR_LEN;
    }
    if (vnet->gso_type != TUO_GSO_NONE) return tuoi_vnet_check_write_gso(vnet, pkt, len, info);
    return (vnet->flags & TUO_VNET_NEEDS_CSUM) && tuoi_vnet_field_is_cut_off(vnet, pkt, len, flags) ? TUO_E_CSUM_RANGE
                                                                                                    : TUO_OK;
}

/* The check, handing out the parse that it needed. *info is filled for GSO types only, and zero
   otherwise. *outer is filled for tunnels only, and otherwise of kind NONE. */
static tuo_result tuoi_vnet_check(const tuo_vnet_hdr *vnet, const uint8_t *pkt, size_t len, unsigned flags,
                                  tuo_pkt_info *info, tuo_pkt_info *outer) {
    tuo_result result = tuoi_vnet_check_gso(vnet, flags);
    TUO_MEMSET(info, 0, sizeof *info);
    outer->kind = TUO_KIND_NONE;
    if (result != TUO_OK) return result;
    if ((vnet->flags & TUO_VNET_NEEDS_CSUM) && (size_t)vnet->csum_start + vnet->csum_offset + 2 > len)
        return TUO_E_CSUM_RANGE;
    if (tuoi_gso_base(vnet->gso_type) != TUO_GSO_NONE) {
        result = tuoi_gso_tunnel(vnet->gso_type)
                     ? tuoi_vnet_parse_tunnel(vnet, pkt, len, flags, info, outer)
                     : tuoi_parse(pkt, len, (flags & TUO_F_ETHERNET) | TUO_F_SUPERPACKET, info);
        if (result == TUO_OK) result = tuoi_vnet_check_packet(vnet, info, outer);
        if (result != TUO_OK) return result;
    }
    return flags & TUO_F_WRITE ? tuoi_vnet_check_write(vnet, pkt, len, flags, info) : TUO_OK;
}

TUO_API tuo_result tuo_vnet_check(const tuo_vnet_hdr *vnet, const void *pkt, size_t len, unsigned flags) {
    tuo_pkt_info info, outer;
    return tuoi_vnet_check(vnet, (const uint8_t *)pkt, len, flags, &info, &outer);
}

/* --------------------------------------------------------------------------------------- >>flow */
/* Owns the bounded index, which knows 32-bit values by the hash of something, and on top of it the
   flow table, which keeps keys as well; GRO uses the index alone, since the packets that it holds
   are the keys. A bucket has TUO_FLOW_WAYS entries and a generation: a bucket of another generation
   than the index's is empty, which makes reset a counter increment. Tag 0 marks a free entry.
   Nothing is ever probed outside the one bucket of a hash. The hash is a sum of 32x32-bit products
   of words and secret words (the NH function of UMAC, RFC 4418 5.2.2): who does not know the seed
   cannot choose flows that collide more often than by chance. */

enum { TUOI_KEY_WORDS = sizeof(tuo_flow_key) / 4, TUOI_FLOWS_MAX = 65536, TUOI_ALIGN = 8 };
TUOI_STATIC_ASSERT(flow_key_has_no_padding, sizeof(tuo_flow_key) == 48);

typedef struct tuoi_bucket {
    uint16_t tag[TUO_FLOW_WAYS];
    uint32_t value[TUO_FLOW_WAYS];
    uint32_t generation;
    uint32_t stamp[TUO_FLOW_WAYS]; /* index clock at insert */
} tuoi_bucket;

typedef struct tuoi_index {
    uint64_t finish_key;
    uint32_t word_keys[TUOI_KEY_WORDS];
    uint32_t bucket_mask;
    uint32_t generation; /* never 0: zeroed buckets are empty */
    uint32_t clock;
    uint32_t live_count;
    tuo_flow_stats stats;
    tuoi_bucket *buckets;
} tuoi_index;

TUOI_INLINE size_t tuoi_align_up(size_t len) { return (len + TUOI_ALIGN - 1) / TUOI_ALIGN * TUOI_ALIGN; }
TUOI_INLINE int tuoi_aligned(const void *mem) { return mem && (uintptr_t)mem % TUOI_ALIGN == 0; }

/* Twice as many entries as flows, so that a full bucket is rare; a power of two of buckets. */
static uint32_t tuoi_bucket_count(uint32_t max_flows) {
    uint32_t count = 1;
    while (count * TUO_FLOW_WAYS < max_flows * 2) count *= 2;
    return count;
}

/* splitmix64: spreads a seed of any quality over the secret words. */
TUOI_WRAPS static uint64_t tuoi_mix64(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t tuoi_index_memory_size(uint32_t max_flows) {
    return tuoi_align_up(tuoi_bucket_count(max_flows) * sizeof(tuoi_bucket));
}

static void tuoi_index_init(tuoi_index *index, void *mem, uint32_t max_flows, uint64_t seed) {
    uint32_t i;
    TUO_MEMSET(index, 0, sizeof *index);
    TUO_MEMSET(mem, 0, tuoi_index_memory_size(max_flows));
    index->buckets = (tuoi_bucket *)mem;
    index->bucket_mask = tuoi_bucket_count(max_flows) - 1;
    index->generation = 1;
    for (i = 0; i < TUOI_KEY_WORDS; i++) index->word_keys[i] = (uint32_t)(tuoi_mix64(&seed) >> 32);
    index->finish_key = tuoi_mix64(&seed) | 1;
}

TUOI_WRAPS static void tuoi_index_reset(tuoi_index *index) {
    index->live_count = 0;
    index->generation++;
    if (index->generation == 0) { /* wrapped: buckets of 2^32 resets ago would come back to life */
        TUO_MEMSET(index->buckets, 0, ((size_t)index->bucket_mask + 1) * sizeof(tuoi_bucket));
        index->generation = 1;
    }
}

/* NH of an even number of words, with the secret words from first_key on; sums of it may be added
   up. */
TUOI_WRAPS TUOI_FORCE_INLINE uint64_t tuoi_nh(const tuoi_index *index, const uint8_t *words, uint32_t word_count,
                                              uint32_t first_key) {
    uint64_t sum = 0;
    uint32_t i;
    for (i = 0; i < word_count; i += 2) {
        const uint32_t a = tuoi_load32(words + i * 4u) + index->word_keys[first_key + i];
        const uint32_t b = tuoi_load32(words + i * 4u + 4) + index->word_keys[first_key + i + 1];
        sum += (uint64_t)a * b;
    }
    return sum;
}

/* Multiply-shift: the high bits, which choose the bucket, depend on all words. */
TUOI_WRAPS TUOI_FORCE_INLINE uint64_t tuoi_hash_finish(const tuoi_index *index, uint64_t sum) {
    return (sum ^ (sum >> 32)) * index->finish_key;
}

/* Where a hash is, or would be: the entries of its bucket whose tag is equal, to be compared by the
   caller one after the other. */
typedef struct tuoi_slot {
    tuoi_bucket *bucket;
    uint32_t candidates; /* bit per way, not yet looked at */
    uint32_t way;        /* TUO_FLOW_WAYS: none is equal */
    uint16_t tag;
} tuoi_slot;

TUOI_FORCE_INLINE uint32_t tuoi_bucket_equal_tags(const tuoi_bucket *bucket, uint16_t tag) {
#if TUOI_BASE_SSE2
    const __m128i tags = _mm_loadu_si128((const __m128i *)(const void *)bucket->tag);
    const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#else
    uint32_t way, equal = 0;
    for (way = 0; way < TUO_FLOW_WAYS; way++) equal |= (uint32_t)(bucket->tag[way] == tag) << way;
    return equal;
#endif
}

TUOI_FORCE_INLINE tuoi_slot tuoi_index_probe(const tuoi_index *index, uint64_t hash) {
    tuoi_slot slot;
    slot.bucket = &index->buckets[(uint32_t)(hash >> 40) & index->bucket_mask];
    slot.tag = (uint16_t)((uint32_t)(hash >> 24) | 1u);
    slot.way = TUO_FLOW_WAYS;
    slot.candidates = slot.bucket->generation == index->generation ? tuoi_bucket_equal_tags(slot.bucket, slot.tag) : 0;
    return slot;
}

/* The next candidate in slot->way; 0 and TUO_FLOW_WAYS after the last. */
TUOI_FORCE_INLINE int tuoi_slot_next(tuoi_slot *slot) {
    if (slot->candidates == 0) {
        slot->way = TUO_FLOW_WAYS;
        return 0;
    }
    slot->way = tuoi_lowest_bit(slot->candidates);
    slot->candidates &= slot->candidates - 1;
    return 1;
}

TUOI_FORCE_INLINE void tuoi_index_count_lookup(tuoi_index *index, const tuoi_slot *slot) {
    index->stats.lookups++;
    if (slot->bucket->generation == index->generation) index->stats.probes += TUO_FLOW_WAYS;
}

/* A free entry for a hash that was not found, or TUO_FLOW_WAYS. */
TUOI_FORCE_INLINE uint32_t tuoi_index_free_way(const tuoi_index *index, tuoi_bucket *bucket) {
    uint32_t free_ways;
    if (bucket->generation != index->generation) {
        bucket->generation = index->generation;
        TUO_MEMSET(bucket->tag, 0, sizeof bucket->tag);
        return 0;
    }
    free_ways = tuoi_bucket_equal_tags(bucket, 0);
    return free_ways ? tuoi_lowest_bit(free_ways) : (uint32_t)TUO_FLOW_WAYS;
}

/* A free entry, or the one inserted longest ago, which is still there to be looked at if its tag is
   not 0. Ages are differences, so the clock may wrap. */
TUOI_WRAPS TUOI_FORCE_INLINE uint32_t tuoi_index_choose_way(const tuoi_index *index, tuoi_bucket *bucket) {
    uint32_t way = tuoi_index_free_way(index, bucket), oldest = 0;
    if (way < TUO_FLOW_WAYS) return way;
    for (way = 1; way < TUO_FLOW_WAYS; way++) {
        if (index->clock - bucket->stamp[way] > index->clock - bucket->stamp[oldest]) oldest = way;
    }
    return oldest;
}

TUOI_WRAPS TUOI_FORCE_INLINE void tuoi_index_put(tuoi_index *index, tuoi_bucket *bucket, uint32_t way, uint16_t tag,
                                                 uint32_t value) {
    if (bucket->tag[way] == 0) {
        index->live_count++;
    } else {
        index->stats.evictions++;
    }
    bucket->tag[way] = tag;
    bucket->stamp[way] = index->clock++;
    bucket->value[way] = value;
}

static void tuoi_index_remove(tuoi_index *index, const tuoi_slot *slot) {
    slot->bucket->tag[slot->way] = 0;
    index->live_count--;
}

/* --- the flow table: the index, and a key per entry --- */

struct tuo_flow_table {
    tuoi_index index;
    tuo_flow_key *keys; /* TUO_FLOW_WAYS per bucket */
};

TUO_API size_t tuo_flow_table_memory_size(uint32_t max_flows) {
    if (max_flows == 0 || max_flows > TUOI_FLOWS_MAX) return 0;
    return tuoi_align_up(sizeof(tuo_flow_table)) + tuoi_index_memory_size(max_flows) +
           tuoi_bucket_count(max_flows) * (TUO_FLOW_WAYS * sizeof(tuo_flow_key));
}

TUO_API tuo_result tuo_flow_table_init(tuo_flow_table **table, void *mem, size_t mem_len, uint32_t max_flows,
                                       uint64_t seed) {
    const size_t needed = tuo_flow_table_memory_size(max_flows);
    tuo_flow_table *const t = (tuo_flow_table *)mem;
    uint8_t *buckets;
    if (needed == 0 || !tuoi_aligned(mem)) return TUO_E_INVALID;
    if (mem_len < needed) return TUO_E_NOSPACE;
    buckets = (uint8_t *)mem + tuoi_align_up(sizeof *t);
    tuoi_index_init(&t->index, buckets, max_flows, seed);
    t->keys = (tuo_flow_key *)(void *)(buckets + tuoi_index_memory_size(max_flows));
    *table = t;
    return TUO_OK;
}

static tuo_flow_key *tuoi_flow_key_at(const tuo_flow_table *table, const tuoi_bucket *bucket, uint32_t way) {
    return &table->keys[(size_t)(bucket - table->index.buckets) * TUO_FLOW_WAYS + way];
}

static tuoi_slot tuoi_flow_locate(tuo_flow_table *table, const tuo_flow_key *key) {
    const uint64_t sum = tuoi_nh(&table->index, (const uint8_t *)key, TUOI_KEY_WORDS, 0);
    tuoi_slot slot = tuoi_index_probe(&table->index, tuoi_hash_finish(&table->index, sum));
    tuoi_index_count_lookup(&table->index, &slot);
    while (tuoi_slot_next(&slot)) {
        if (TUO_MEMCMP(tuoi_flow_key_at(table, slot.bucket, slot.way), key, sizeof *key) == 0) break;
    }
    return slot;
}

TUO_API uint32_t *tuo_flow_table_find(tuo_flow_table *table, const tuo_flow_key *key) {
    const tuoi_slot slot = tuoi_flow_locate(table, key);
    return slot.way < TUO_FLOW_WAYS ? &slot.bucket->value[slot.way] : NULL;
}

TUO_API uint32_t *tuo_flow_table_insert(tuo_flow_table *table, const tuo_flow_key *key, tuo_flow_evicted *evicted) {
    const tuoi_slot slot = tuoi_flow_locate(table, key);
    const tuo_flow_key added = *key; /* which may be evicted->key of an earlier call */
    tuoi_bucket *const bucket = slot.bucket;
    tuo_flow_key *stored;
    uint32_t way;
    if (evicted) TUO_MEMSET(evicted, 0, sizeof *evicted);
    if (slot.way < TUO_FLOW_WAYS) return &bucket->value[slot.way];
    way = tuoi_index_choose_way(&table->index, bucket);
    stored = tuoi_flow_key_at(table, bucket, way);
    if (evicted && bucket->tag[way] != 0) {
        evicted->happened = 1;
        evicted->key = *stored;
        evicted->value = bucket->value[way];
    }
    tuoi_index_put(&table->index, bucket, way, slot.tag, 0);
    *stored = added;
    return &bucket->value[way];
}

TUO_API int tuo_flow_table_remove(tuo_flow_table *table, const tuo_flow_key *key) {
    const tuoi_slot slot = tuoi_flow_locate(table, key);
    if (slot.way == TUO_FLOW_WAYS) return 0;
    tuoi_index_remove(&table->index, &slot);
    return 1;
}

TUO_API void tuo_flow_table_reset(tuo_flow_table *table) { tuoi_index_reset(&table->index); }
TUO_API uint32_t tuo_flow_table_count(const tuo_flow_table *table) { return table->index.live_count; }
TUO_API void tuo_flow_table_query_stats(const tuo_flow_table *table, tuo_flow_stats *stats) {
    *stats = table->index.stats;
}

TUO_API tuo_result tuo_flow_key_from_packet(const void *pkt, const tuo_pkt_info *info, tuo_flow_key *key) {
    const uint8_t *const ip = (const uint8_t *)pkt + info->ip_off;
    const tuoi_kind_row *const kind = &tuoi_kinds[info->kind];
    if (info->kind == TUO_KIND_NONE) return TUO_E_INVALID;
    TUO_MEMSET(key, 0, sizeof *key);
    TUO_MEMCPY(key->src, ip + kind->addr_off, kind->addr_len);
    TUO_MEMCPY(key->dst, ip + kind->addr_off + kind->addr_len, kind->addr_len);
    key->src_port = info->src_port;
    key->dst_port = info->dst_port;
    key->flow_label = info->flow_label;
    key->ip_version = info->ip_version;
    key->l4_proto = info->l4_proto;
    return TUO_OK;
}

/* ------------------------------------------------------------------------------------ >>account */
/* Owns what turns the headers of a first packet and the payloads of many into one superpacket. The
   only writer of superpacket headers. linux tcp4_gro_complete, tcp6_gro_complete,
   udp_gro_complete_segment; virtio 1.3 5.1.6.2. */

/* What a length field holds: 0 for what it cannot (BIG TCP; K 1.16). Only packets for devices that
   allow it come that large. */
TUOI_INLINE uint32_t tuoi_length_field(uint32_t len) { return len > 0xFFFFu ? 0 : len; }

/* Lengths, and the checksum of an IPv4 header. */
TUOI_FORCE_INLINE void tuoi_account_lengths(uint8_t *hdr, const tuoi_shape *shape, uint32_t payload_len) {
    uint8_t *const ip = hdr + shape->ip_off;
    const uint32_t ip_len = shape->hdr_len - shape->ip_off + payload_len;
    const uint32_t l4_len = shape->hdr_len - shape->l4_off + payload_len;
    if (tuoi_is_ip4(shape->kind)) {
        tuoi_wr16(ip + TUOI_IP4_TOTAL, tuoi_length_field(ip_len));
        tuoi_wr16(ip + TUOI_IP4_CSUM, 0);
        tuoi_wr16(ip + TUOI_IP4_CSUM, tuoi_finish(tuoi_sum(ip, shape->l4_off - shape->ip_off), 0));
    } else {
        tuoi_wr16(ip + TUOI_IP6_PAYLOAD, tuoi_length_field(ip_len - TUOI_IP6_LEN));
    }
    if (!tuoi_is_tcp(shape->kind)) tuoi_wr16(hdr + shape->l4_off + TUOI_UDP_TOTAL, tuoi_length_field(l4_len));
}

static void tuoi_account(uint8_t *hdr, const tuoi_shape *shape, uint32_t payload_len, uint16_t gso_size,
                         tuo_vnet_hdr *vnet) {
    const tuoi_kind_row *const kind = &tuoi_kinds[shape->kind];
    uint8_t *const l4 = hdr + shape->l4_off;
    const uint32_t l4_len = shape->hdr_len - shape->l4_off + payload_len;
    tuoi_account_lengths(hdr, shape, payload_len);
    tuoi_wr16(l4 + kind->l4_csum_off, tuoi_fold(tuoi_pseudo(hdr, shape, l4_len)));
    TUO_MEMSET(vnet, 0, sizeof *vnet);
    vnet->flags = TUO_VNET_NEEDS_CSUM;
    vnet->gso_type = kind->gso_type;
    vnet->hdr_len = (uint16_t)shape->hdr_len;
    vnet->gso_size = gso_size;
    vnet->csum_start = (uint16_t)shape->l4_off;
    vnet->csum_offset = kind->l4_csum_off;
}

/* The same for what may have turned out to be one segment: with a partial checksum, but never with
   a GSO type (K 1.8). */
static void tuoi_account_any(uint8_t *hdr, const tuoi_shape *shape, uint32_t payload_len, uint16_t gso_size,
                             tuo_vnet_hdr *vnet) {
    tuoi_account(hdr, shape, payload_len, gso_size, vnet);
    if (payload_len > gso_size) return;
    vnet->gso_type = TUO_GSO_NONE;
    vnet->gso_size = 0;
}

/* Of a TCP packet without its payload: the sum of pseudo-header and TCP header, not folded. */
static TUOI_NOINLINE uint32_t tuoi_headers_sum(const uint8_t *pkt, const tuoi_shape *shape, uint32_t payload_len) {
    const uint32_t l4_hdr_len = shape->hdr_len - shape->l4_off;
    return tuoi_pseudo(pkt, shape, l4_hdr_len + payload_len) + tuoi_sum(pkt + shape->l4_off, l4_hdr_len);
}

/* After tuoi_account, for a receiver that takes the superpacket as one TCP packet: a complete
   checksum, and a vnet header that says nothing. payload_sum: of the whole payload, folded. */
static void tuoi_account_finish(uint8_t *hdr, const tuoi_shape *shape, uint32_t payload_sum, tuo_vnet_hdr *vnet) {
    uint8_t *const l4 = hdr + shape->l4_off;
    const uint32_t with_pseudo = tuoi_sum(l4, shape->hdr_len - shape->l4_off);
    tuoi_wr16(l4 + TUOI_TCP_CSUM, tuoi_finish(with_pseudo + payload_sum, 0));
    TUO_MEMSET(vnet, 0, sizeof *vnet);
}

TUO_API tuo_result tuo_coalesce_account(void *pkt, size_t len, uint16_t gso_size, unsigned flags, tuo_vnet_hdr *vnet) {
    tuo_pkt_info info;
    tuoi_shape shape;
    uint32_t payload_len;
    const tuo_result result =
        tuoi_parse((const uint8_t *)pkt, len, (flags & TUO_F_ETHERNET) | TUO_F_SUPERPACKET, &info);
    if (result != TUO_OK) return result;
    if (info.flags & TUO_PKT_FRAGMENT) return TUO_E_VNET_FRAGMENT;
    if (info.kind == TUO_KIND_NONE || (info.flags & TUO_PKT_ROUTING)) return TUO_E_VNET_PROTOCOL;
    if (info.payload_off > TUO_HEADER_MAX) return TUO_E_HEADER_TOO_LONG;
    payload_len = (uint32_t)len - info.payload_off;
    if (gso_size == 0 || gso_size == 0xFFFFu || (tuoi_is_tcp(info.kind) && gso_size < TUOI_TCP_GSO_SIZE_MIN))
        return TUO_E_VNET_GSO_SIZE;
    if (payload_len <= gso_size) return TUO_E_INVALID;
    if (!tuoi_is_tcp(info.kind) && payload_len > (uint32_t)gso_size * TUOI_UDP_SEGS_MAX) return TUO_E_VNET_SEG_LIMIT;
    if (len - info.ip_off > 0xFFFFu) return TUO_E_IP_LENGTH;
    shape = tuoi_shape_of(&info);
    tuoi_account((uint8_t *)pkt, &shape, payload_len, gso_size, vnet);
    return TUO_OK;
}

/* ------------------------------------------------------------------------------------ >>buffers */
/* Owns tuo_buf, and the one way to call a buffer's callbacks. */

static uint8_t *tuoi_buf_data(void *user, void *buf) {
    (void)user;
    return ((tuo_buf *)buf)->data;
}
static size_t tuoi_buf_len(void *user, const void *buf) {
    (void)user;
    return ((const tuo_buf *)buf)->len;
}
static size_t tuoi_buf_capacity(void *user, const void *buf) {
    (void)user;
    return ((const tuo_buf *)buf)->capacity;
}
static int tuoi_buf_resize(void *user, void *buf, size_t len) {
    tuo_buf *const b = (tuo_buf *)buf;
    (void)user;
    if (len > b->capacity) return -1;
    b->len = len;
    return 0;
}
static int tuoi_buf_append(void *user, void *buf, const uint8_t *bytes, size_t len) {
    tuo_buf *const b = (tuo_buf *)buf;
    (void)user;
    if (len > b->capacity - b->len) return -1;
    TUO_MEMCPY(b->data + b->len, bytes, len);
    b->len += len;
    return 0;
}

static const tuo_buf_ops tuoi_plain_ops = {
    NULL, tuoi_buf_data, tuoi_buf_len, tuoi_buf_capacity, tuoi_buf_resize, tuoi_buf_append
};

/* The callbacks, without a call for plain buffers. */
TUOI_FORCE_INLINE uint8_t *tuoi_ops_data(const tuo_buf_ops *ops, void *buf) {
    return ops == &tuoi_plain_ops ? tuoi_buf_data(NULL, buf) : ops->data(ops->user, buf);
}
TUOI_FORCE_INLINE size_t tuoi_ops_len(const tuo_buf_ops *ops, const void *buf) {
    return ops == &tuoi_plain_ops ? tuoi_buf_len(NULL, buf) : ops->len(ops->user, buf);
}
TUOI_FORCE_INLINE size_t tuoi_ops_capacity(const tuo_buf_ops *ops, const void *buf) {
    return ops == &tuoi_plain_ops ? tuoi_buf_capacity(NULL, buf) : ops->capacity(ops->user, buf);
}
TUOI_FORCE_INLINE int tuoi_ops_resize(const tuo_buf_ops *ops, void *buf, size_t len) {
    return ops == &tuoi_plain_ops ? tuoi_buf_resize(NULL, buf, len) : ops->resize(ops->user, buf, len);
}

/* ---------------------------------------------------------------------------------- >>gro-rules */
/* This section decides and changes no item. classify: may this type of packet merge? rows: header
   bytes that must be equal. position: the place in the byte stream. decide: may the packet join
   there? Contract: tests/kernel-rules.md, K 4, K 5 and K 9 (C1 to C7). */

#define TUOI_NONE 0xFFFFFFFFu /* no item, no record */
#define TUOI_ABSORBED 0xFFFFFFFEu /* tuoi_record.list: leaves at the position of another record */
#define TUOI_GATHERED 0xFFFFFFFFu /* tuoi_packet.capacity: no buffer to fill */
#define TUOI_IN_PIECES 0xFFFFFFFEu /* the same, for tuoi_gro_push_other only: a packet in pieces */
#define TUOI_PIECE 0xFFFFFFFDu /* tuoi_record.next: no packet, but a piece of the packet in front */

typedef enum tuoi_id_mode { TUOI_ID_UNDECIDED, TUOI_ID_COUNTS, TUOI_ID_CONSTANT } tuoi_id_mode;

/* An item: packets that will leave together. A new item has one packet. The items of a TCP flow,
   with gaps between them, are a list in sequence order. The newest item has the highest sequence
   numbers. */
typedef struct tuoi_item {
    const uint8_t *bytes;     /* of the first segment */
    uint8_t *collect;         /* bytes, if payloads are copied behind the head at the push; NULL: no copy at the push */
    uint32_t head;            /* record of the first segment */
    uint32_t seq;             /* TCP: of the first payload byte */
    uint32_t tail;            /* record of the last segment */
    uint32_t payload_len;     /* of all segments; below 65536 */
    uint32_t first;           /* record that arrived first: an item of the list leaves at its position */
    uint32_t seg_count;
    uint32_t older, newer;    /* neighbours in the list, with lower and with higher sequence numbers, or TUOI_NONE */
    uint32_t list;            /* item with which the list began; only this item uses the next two members */
    uint32_t leaves;          /* item of the list that leaves next; the oldest, until the drain begins */
    uint32_t open_count;      /* number of open items of the list, counted from the newest */
    uint32_t max_len;         /* frame bytes that it may grow to: max_bytes, and the buffer of the head */
    uint32_t fast_len;        /* frame bytes of a segment that the fast path may append; 0: none */
    uint16_t gso_size;        /* payload of the first segment */
    uint16_t ip_id;           /* of the first segment */
    uint16_t max_segs;        /* also for max_frags. 65535: no limit, since an item has fewer payload bytes */
    uint16_t more_pieces;     /* beyond one per segment */
    uint8_t id_mode;          /* tuoi_id_mode */
    uint8_t plain;            /* as in tuoi_facts */
    uint8_t closed;           /* verdict for a packet that would append; TUO_V_HELD: open */
    uint8_t head_csum;        /* tuoi_csum of the head; the checksums of all other packets are right */
    uint8_t tunnel;           /* as in tuoi_facts */
    uint8_t outer_id_mode;    /* tuoi_id_mode */
    tuoi_shape shape;
} tuoi_item;

/* All that the rules read of a packet. Two functions fill every member: tuoi_parse_plain and
   tuoi_classify_parsed. If the packet is broken, the members hold only what was parsed before the
   error. */
typedef struct tuoi_facts {
    tuoi_shape shape;
    uint32_t payload_len;
    uint32_t total_len;       /* bytes of the IP packet */
    uint32_t seq;             /* TCP; 0 of others */
    uint16_t ip_id;           /* IPv4; 0 of others */
    uint8_t ip_version;
    uint8_t l4_proto;
    uint8_t df;               /* IPv4 Don't Fragment */
    uint8_t plain;            /* 1: no tags, no IP options, no extension headers, no tunnel */
    uint8_t tunnel;           /* tuo_kind of the UDP packet around this one; NONE: no tunnel */
    uint8_t outer_df;         /* this and the next one: of that packet; set with a tunnel only */
    uint16_t outer_ip_id;
    uint8_t tcp_flags;        /* TCP; 0 of others */
} tuoi_facts;

/* A packet on its way in. */
typedef struct tuoi_packet {
    const uint8_t *bytes;
    size_t len;
    uint32_t capacity;        /* frame bytes that its buffer can take */
    uint32_t record;          /* index of its record */
    uint32_t more_pieces;     /* beyond one */
    uint8_t *collect;         /* bytes, if they are in a tuo_buf with memory behind them that may be written; or NULL */
    tuoi_csum csum;
    tuoi_facts facts;
} tuoi_packet;

/* A header byte that must be equal under a mask, and the verdict if it differs. The first row that
   differs gives the verdict. */
typedef struct tuoi_equal_row {
    uint8_t off, mask, verdict;
} tuoi_equal_row;

enum { TUOI_LAYER_IP4, TUOI_LAYER_IP6, TUOI_LAYER_TCP, TUOI_LAYER_COUNT };

static const tuoi_equal_row tuoi_equal_ip4[] = {
    { TUOI_IP4_TOS, 0xFF, TUO_V_TOS_DIFFERS },         /* K 4.3 */
    { TUOI_IP4_TTL, 0xFF, TUO_V_TTL_DIFFERS },         /* K 4.3 */
    { TUOI_IP4_FRAG, 0x40, TUO_V_DF_DIFFERS },         /* K 4.3; the other bits are 0 in every candidate */
};
static const tuoi_equal_row tuoi_equal_ip6[] = {
    { 1, 0x0F, TUO_V_FLOW_LABEL_DIFFERS },             /* K 4.2 */
    { 2, 0xFF, TUO_V_FLOW_LABEL_DIFFERS },
    { 3, 0xFF, TUO_V_FLOW_LABEL_DIFFERS },
    { 0, 0x0F, TUO_V_TOS_DIFFERS },                    /* K 4.3 */
    { 1, 0xF0, TUO_V_TOS_DIFFERS },
    { TUOI_IP6_HOP, 0xFF, TUO_V_TTL_DIFFERS },         /* K 4.3 */
};
static const tuoi_equal_row tuoi_equal_tcp[] = {
    { TUOI_TCP_ACK, 0xFF, TUO_V_ACK_DIFFERS },         /* K 4.6 */
    { TUOI_TCP_ACK + 1, 0xFF, TUO_V_ACK_DIFFERS },
    { TUOI_TCP_ACK + 2, 0xFF, TUO_V_ACK_DIFFERS },
    { TUOI_TCP_ACK + 3, 0xFF, TUO_V_ACK_DIFFERS },
    { TUOI_TCP_DOFF, 0x0F, TUO_V_RESERVED_DIFFERS },   /* K 4.7 */
    { TUOI_TCP_FLAGS, 0xFF & ~(TUOI_FIN | TUOI_PSH), TUO_V_FLAGS_DIFFERS }, /* K 4.7, 4.11 */
    { TUOI_TCP_WINDOW, 0xFF, TUO_V_WINDOW_DIFFERS },   /* K 4.7 */
    { TUOI_TCP_WINDOW + 1, 0xFF, TUO_V_WINDOW_DIFFERS },
    { TUOI_TCP_URGENT, 0xFF, TUO_V_URGENT_DIFFERS },   /* lossless; K 4.8 */
    { TUOI_TCP_URGENT + 1, 0xFF, TUO_V_URGENT_DIFFERS },
    { TUOI_TCP_DOFF, 0xF0, TUO_V_OPTIONS_DIFFERS },    /* K 4.9 */
};

typedef struct tuoi_layer {
    const tuoi_equal_row *rows;
    uint32_t row_count, len;
} tuoi_layer;

#define TUOI_ROWS(rows) (rows), sizeof(rows) / sizeof(rows)[0]
static const tuoi_layer tuoi_layers[TUOI_LAYER_COUNT] = {
    { TUOI_ROWS(tuoi_equal_ip4), TUOI_IP4_LEN },
    { TUOI_ROWS(tuoi_equal_ip6), TUOI_IP6_LEN },
    { TUOI_ROWS(tuoi_equal_tcp), TUOI_TCP_LEN },
};

/* Byte ranges that must also be equal. They hold the rest of the flow key, and the fields that make
   a packet a candidate with the same header length. */
typedef struct tuoi_range {
    uint8_t off, len;
} tuoi_range;

static const tuoi_range tuoi_same_ip4[] = {
    { 0, 1 }, { TUOI_IP4_FRAG, 2 }, { TUOI_IP4_PROTO, 1 }, { TUOI_IP4_SRC, 8 }, { 0, 0 }
};
static const tuoi_range tuoi_same_ip6[] = { { 0, 4 }, { TUOI_IP6_NEXT, 1 }, { TUOI_IP6_SRC, 32 }, { 0, 0 } };
/* 40: options */
static const tuoi_range tuoi_same_tcp[] = { { 0, 4 }, { TUOI_TCP_DOFF, 1 }, { TUOI_TCP_LEN, 40 }, { 0, 0 } };
static const tuoi_range tuoi_same_udp[] = { { 0, 4 }, { 0, 0 } };

/* Rows and ranges as byte masks over the IP header (without extension headers) and the L4 header of
   each kind. One pass over words tests for equality. Rows are read only to name a difference. */
enum { TUOI_SAME_MAX = 104, TUOI_NEXT_MAX = 118 }; /* 40 + 60, and 14 */
typedef struct tuoi_masks {
    uint8_t same[5][TUOI_SAME_MAX];                /* by kind; from the IP header on */
    /* the same, lengths, and all flags: of the next full segment; from an Ethernet header on */
    uint8_t next[5][TUOI_NEXT_MAX];
} tuoi_masks;

static void tuoi_masks_add_rows(uint8_t *mask, unsigned layer) {
    uint32_t i;
    for (i = 0; i < tuoi_layers[layer].row_count; i++)
        mask[tuoi_layers[layer].rows[i].off] |= tuoi_layers[layer].rows[i].mask;
}

static void tuoi_masks_add(uint8_t *mask, const tuoi_range *range) {
    for (; range->len; range++) TUO_MEMSET(mask + range->off, 0xFF, range->len);
}

static void tuoi_masks_build(tuoi_masks *masks) {
    uint32_t i;
    TUO_MEMSET(masks, 0, sizeof *masks);
    for (i = TUO_KIND_TCP4; i <= TUO_KIND_UDP6; i++) {
        const unsigned ip = tuoi_is_ip4(i) ? TUOI_LAYER_IP4 : TUOI_LAYER_IP6;
        uint8_t *l4 = masks->same[i] + tuoi_layers[ip].len;
        tuoi_masks_add_rows(masks->same[i], ip);
        if (tuoi_is_tcp(i)) tuoi_masks_add_rows(l4, TUOI_LAYER_TCP);
        tuoi_masks_add(masks->same[i], tuoi_is_ip4(i) ? tuoi_same_ip4 : tuoi_same_ip6);
        tuoi_masks_add(l4, tuoi_is_tcp(i) ? tuoi_same_tcp : tuoi_same_udp);
        TUO_MEMSET(masks->next[i], 0xFF, TUOI_ETH_LEN);
        TUO_MEMCPY(masks->next[i] + TUOI_ETH_LEN, masks->same[i], TUOI_SAME_MAX);
        l4 = masks->next[i] + TUOI_ETH_LEN + tuoi_layers[ip].len;
        TUO_MEMSET(masks->next[i] + TUOI_ETH_LEN + (tuoi_is_ip4(i) ? TUOI_IP4_TOTAL : TUOI_IP6_PAYLOAD), 0xFF, 2);
        TUO_MEMSET(l4 + (tuoi_is_tcp(i) ? TUOI_TCP_FLAGS : TUOI_UDP_TOTAL), 0xFF, tuoi_is_tcp(i) ? 1 : 2);
    }
}

/* TUO_V_HELD if the layer's headers at a and b are equal where they must be. */
static tuo_verdict tuoi_layer_differs(unsigned layer, const uint8_t *a, const uint8_t *b) {
    const tuoi_equal_row *const rows = tuoi_layers[layer].rows;
    uint32_t i;
    for (i = 0; i < tuoi_layers[layer].row_count; i++) {
        if ((a[rows[i].off] ^ b[rows[i].off]) & rows[i].mask) return (tuo_verdict)rows[i].verdict;
    }
    return TUO_V_HELD;
}

/* a and b: IPv6 header with extension headers, a_len and b_len bytes. */
static int tuoi_same_ext(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len) {
    return a_len == b_len && a[TUOI_IP6_NEXT] == b[TUOI_IP6_NEXT] &&
           tuoi_same_bytes(a + TUOI_IP6_LEN, b + TUOI_IP6_LEN, a_len - TUOI_IP6_LEN);
}

/* TUO_V_HELD if all headers of an item and of a packet of its flow (tuoi_same_flow) are equal where
   they must be. Compares one header after the other. */
static TUOI_NOINLINE tuo_verdict tuoi_name_difference(const tuoi_item *item, const uint8_t *bytes,
                                                      const tuoi_shape *other) {
    const tuoi_shape *const shape = &item->shape;
    const uint8_t *const a = item->bytes + shape->ip_off, *const b = bytes + other->ip_off;
    const uint32_t l4_off = shape->l4_off - shape->ip_off, options_off = l4_off + TUOI_TCP_LEN;
    const int ip4 = tuoi_is_ip4(shape->kind);
    tuo_verdict differs = tuoi_layer_differs(ip4 ? TUOI_LAYER_IP4 : TUOI_LAYER_IP6, a, b);
    if (differs != TUO_V_HELD) return differs;
    if (!ip4 && !tuoi_same_ext(a, l4_off, b, other->l4_off - other->ip_off)) return TUO_V_IP6_EXT_DIFFERS;
    if (!tuoi_is_tcp(shape->kind)) return TUO_V_HELD;
    differs = tuoi_layer_differs(TUOI_LAYER_TCP, a + l4_off, b + l4_off);
    if (differs != TUO_V_HELD) return differs;
    return tuoi_same_bytes(a + options_off, b + options_off, shape->hdr_len - shape->ip_off - options_off)
               ? TUO_V_HELD
               : TUO_V_OPTIONS_DIFFERS;
}

TUOI_FORCE_INLINE uint32_t tuoi_fixed_len(int ip4) { return ip4 ? TUOI_IP4_LEN : TUOI_IP6_LEN; }

/* tuoi_name_difference with a fast path: one masked comparison if neither packet has extension
   headers. */
TUOI_FORCE_INLINE tuo_verdict tuoi_headers_differ(const tuoi_masks *masks, const tuoi_item *item, const uint8_t *bytes,
                                                  const tuoi_shape *other) {
    const tuoi_shape *const shape = &item->shape;
    const uint32_t len = shape->hdr_len - shape->ip_off;
    const int plain = shape->l4_off == shape->ip_off + tuoi_fixed_len(tuoi_is_ip4(shape->kind));
    if (plain && other->l4_off == shape->l4_off && other->hdr_len == shape->hdr_len &&
        tuoi_equal_masked(item->bytes + shape->ip_off, bytes + shape->ip_off, masks->same[shape->kind], len))
        return TUO_V_HELD;
    return tuoi_name_difference(item, bytes, other);
}

static tuo_verdict tuoi_verdict_of_result(tuo_result result) {
    switch ((int)result) {
        case TUO_E_VLAN_DEPTH: return TUO_V_VLAN_DEPTH;
        case TUO_E_NOT_IP: return TUO_V_NOT_IP;
        case TUO_E_IP_HEADER: return TUO_V_IP_HEADER;
        case TUO_E_IP_LENGTH: return TUO_V_IP_LENGTH;
        case TUO_E_IP6_EXT: return TUO_V_IP6_EXT;
        case TUO_E_TCP_HEADER: return TUO_V_TCP_HEADER;
        case TUO_E_UDP_LENGTH: return TUO_V_UDP_LENGTH;
        case TUO_E_INVALID: return TUO_V_IP_LENGTH; /* 2 GiB and more: no IP length says so */
        default: return TUO_V_TRUNCATED;
    }
}

static TUOI_NOINLINE int tuoi_port_excluded(const tuo_gro_desc *desc, int tcp, const uint8_t *l4) {
    const uint16_t *const ports = tcp ? desc->tcp_excluded_ports : desc->udp_excluded_ports;
    const uint32_t count = tcp ? desc->tcp_excluded_port_count : desc->udp_excluded_port_count;
    const uint32_t src_port = tuoi_rd16(l4), dst_port = tuoi_rd16(l4 + 2);
    uint32_t i;
    for (i = 0; i < count; i++) {
        if (ports[i] == src_port || ports[i] == dst_port) return 1;
    }
    return 0;
}

/* By kind: bytes of the longest IP header of packets that may merge. 0: none may. */
typedef struct tuoi_switches {
    uint16_t ip_len_max[5];
} tuoi_switches;

static tuoi_switches tuoi_switches_of(const tuo_gro_desc *desc) {
    const uint16_t tcp6 = desc->disable_tcp6_ext ? TUOI_IP6_LEN : TUO_HEADER_MAX;
    const uint16_t udp = desc->finish_checksum ? 0 : TUO_HEADER_MAX; /* a receiver could not tell datagrams apart */
    tuoi_switches of;
    of.ip_len_max[TUO_KIND_NONE] = 0;
    of.ip_len_max[TUO_KIND_TCP4] = desc->disable_tcp4 ? 0 : TUO_HEADER_MAX;
    of.ip_len_max[TUO_KIND_UDP4] = desc->disable_udp4 ? 0 : udp;
    of.ip_len_max[TUO_KIND_TCP6] = desc->disable_tcp6 ? 0 : tcp6;
    of.ip_len_max[TUO_KIND_UDP6] = desc->disable_udp6 ? 0 : udp;
    return of;
}

/* IP layer of a parsed packet. */
static tuo_verdict tuoi_classify_ip(const tuo_pkt_info *info) {
    if (info->flags & TUO_PKT_FRAGMENT) return TUO_V_IP_FRAGMENT;          /* K 4.1 */
    if (info->flags & TUO_PKT_OPAQUE) return TUO_V_IP6_EXT;
    if (info->kind == TUO_KIND_NONE) return TUO_V_PROTOCOL;
    if (info->flags & TUO_PKT_RESERVED_BIT) return TUO_V_IP_RESERVED_BIT;  /* K 4.1 */
    if (info->flags & TUO_PKT_IP_OPTIONS) return TUO_V_IP_OPTIONS;         /* K 4.1 */
    if (info->flags & TUO_PKT_ROUTING) return TUO_V_IP6_ROUTING;
    if (info->trailer_len) return TUO_V_TRAILING_BYTES;                    /* K 4.1 */
    if (info->payload_off > TUO_HEADER_MAX) return TUO_V_HEADER_TOO_LONG;
    return info->payload_off + info->payload_len == info->ip_off + info->total_len ? TUO_V_HELD
                                                                                  : TUO_V_UDP_LENGTH; /* K 5.4 */
}

/* For the shape that most packets have, instead of parser and tuoi_classify_ip. 1: no tags, IP
   options, fragments or extension headers, and every length field exactly right. 0: any other
   packet; nothing is decided. ip4 is known at compile time. */
TUOI_WRAPS TUOI_FORCE_INLINE int tuoi_parse_plain(const uint8_t *bytes, size_t len, uint32_t ip_off, int ip4,
                                                  tuoi_facts *facts) {
    const uint32_t fixed_len = ip4 ? TUOI_IP4_LEN : TUOI_IP6_LEN;
    uint32_t l4_len, l4_hdr_len = TUOI_UDP_LEN, frag = 0;
    const uint8_t *ip, *l4;
    int tcp;
    if (len - (ip_off + fixed_len + TUOI_TCP_LEN) > 0xFFFFu - fixed_len - TUOI_TCP_LEN) return 0; /* also if shorter */
    ip = bytes + ip_off;
    l4 = ip + fixed_len;
    l4_len = (uint32_t)len - ip_off - fixed_len;
    if (ip4) {
        frag = tuoi_rd16(ip + TUOI_IP4_FRAG);
        if (ip[0] != 0x45 || tuoi_rd16(ip + TUOI_IP4_TOTAL) != l4_len + fixed_len || (frag & ~(unsigned)TUOI_IP4_DF))
            return 0;
    } else if (ip[0] >> 4 != 6 || tuoi_rd16(ip + TUOI_IP6_PAYLOAD) != l4_len) {
        return 0;
    }
    if (ip_off && tuoi_rd16(bytes + TUOI_ETH_TYPE) != (ip4 ? TUOI_ETHERTYPE_IP4 : TUOI_ETHERTYPE_IP6)) return 0;
    facts->l4_proto = ip[ip4 ? TUOI_IP4_PROTO : TUOI_IP6_NEXT];
    tcp = facts->l4_proto == TUOI_PROTO_TCP;
    if (tcp) {
        l4_hdr_len = (l4[TUOI_TCP_DOFF] & 0xF0u) / 4;
        if (l4_hdr_len < TUOI_TCP_LEN || l4_hdr_len > l4_len) return 0;
    } else if (facts->l4_proto != TUOI_PROTO_UDP || tuoi_rd16(l4 + TUOI_UDP_TOTAL) != l4_len) {
        return 0;
    }
    facts->shape.kind = ip4 ? (tcp ? TUO_KIND_TCP4 : TUO_KIND_UDP4) : (tcp ? TUO_KIND_TCP6 : TUO_KIND_UDP6);
    facts->shape.ip_off = ip_off;
    facts->shape.l4_off = ip_off + fixed_len;
    facts->shape.hdr_len = ip_off + fixed_len + l4_hdr_len;
    facts->payload_len = l4_len - l4_hdr_len;
    facts->total_len = fixed_len + l4_len;
    facts->seq = tcp ? tuoi_rd32(l4 + TUOI_TCP_SEQ) : 0;
    facts->ip_id = ip4 ? tuoi_rd16(ip + TUOI_IP4_ID) : 0;
    facts->ip_version = ip4 ? 4 : 6;
    facts->df = frag != 0;
    facts->plain = 1;
    facts->tunnel = TUO_KIND_NONE;
    facts->tcp_flags = tcp ? l4[TUOI_TCP_FLAGS] : 0;
    return 1;
}

static tuoi_facts tuoi_facts_of(const tuo_pkt_info *info) {
    tuoi_facts facts;
    facts.shape = tuoi_shape_of(info);
    facts.payload_len = info->payload_len;
    facts.total_len = info->total_len;
    facts.seq = info->seq;
    facts.ip_id = info->ip_id;
    facts.ip_version = info->ip_version;
    facts.l4_proto = info->l4_proto;
    facts.df = (info->flags & TUO_PKT_DF) != 0;
    facts.plain = 0;
    facts.tunnel = TUO_KIND_NONE;
    facts.outer_df = 0;
    facts.outer_ip_id = 0;
    facts.tcp_flags = info->tcp_flags;
    return facts;
}

/* Any packet: parsed, and its IP layer classified. */
static TUOI_NOINLINE tuo_verdict tuoi_classify_parsed(const uint8_t *bytes, size_t readable, size_t len, unsigned flags,
                                                      tuoi_facts *facts) {
    tuo_pkt_info info;
    tuo_verdict verdict;
    const tuo_result result = tuoi_parse_readable(bytes, readable, len, flags, &info);
    *facts = tuoi_facts_of(&info);
    if (result == TUO_OK) {
        verdict = tuoi_classify_ip(&info);
        return verdict == TUO_V_HELD && tuoi_find_jumbo(bytes + info.ip_off, &info) ? TUO_V_IP6_EXT : verdict;
    }
    /* of a header that is cut, only what was read is known */
    facts->total_len = tuoi_min32(facts->total_len, tuoi_max32((uint32_t)readable, info.l4_off) - info.ip_off);
    return tuoi_verdict_of_result(result);
}

/* TCP or UDP layer. A checksum of 0xffff that sums to zero is right on the wire, but splitting
   writes 0x0000 (K 6.6). Receivers drop UDP over IPv6 without checksum (RFC 8200 8.1), and would take
   it with the checksum that merging makes. */
TUOI_FORCE_INLINE tuo_verdict tuoi_classify_l4(const uint8_t *bytes, const tuoi_facts *facts, int merge_zero_csum4) {
    const uint8_t *const l4 = bytes + facts->shape.l4_off;
    if (facts->l4_proto == TUOI_PROTO_TCP) {
        if (facts->tcp_flags & (TUOI_SYN | TUOI_RST | TUOI_URG | TUOI_CWR))                 /* K 4.11, 4.12 */
            return (facts->tcp_flags & (TUOI_SYN | TUOI_RST | TUOI_URG)) ? TUO_V_TCP_FLAGS : TUO_V_TCP_CWR;
        if (facts->payload_len == 0) return TUO_V_TCP_EMPTY;                                /* K 4.10 */
        if (tuoi_rd16(l4 + TUOI_TCP_CSUM) == 0xFFFFu) return TUO_V_CSUM_ALIAS;
    } else {
        if (tuoi_rd16(l4 + TUOI_UDP_CSUM) == 0 && !(merge_zero_csum4 && facts->ip_version == 4))
            return TUO_V_UDP_ZERO_CSUM;                                                     /* K 5.3 */
        if (facts->payload_len == 0) return TUO_V_UDP_EMPTY;                                /* K 5.4 */
    }
    if (facts->ip_version == 4 && tuoi_rd16(bytes + facts->shape.ip_off + TUOI_IP4_CSUM) == 0xFFFFu)
        return TUO_V_CSUM_ALIAS;
    return TUO_V_HELD;
}

/* TUO_V_HELD: the packet's type allows merging. ip_off: offset of the IP header without tags; 0
   means that there is no Ethernet header. */
static TUOI_NOINLINE tuo_verdict tuoi_classify(uint32_t ip_off, const uint8_t *bytes, size_t len, tuoi_facts *facts,
                                               int merge_zero_csum4) {
    const int ip4 = len > ip_off && bytes[ip_off] >> 4 == 4;
    tuo_verdict verdict = TUO_V_HELD;
    if (!(ip4 ? tuoi_parse_plain(bytes, len, ip_off, 1, facts) : tuoi_parse_plain(bytes, len, ip_off, 0, facts))) {
        verdict = tuoi_classify_parsed(bytes, len, len, ip_off ? (unsigned)TUO_F_ETHERNET : 0u, facts);
    }
    return verdict == TUO_V_HELD ? tuoi_classify_l4(bytes, facts, merge_zero_csum4) : verdict;
}

/* The same for a packet in pieces. readable: as in tuoi_parse_readable. */
static tuo_verdict tuoi_classify_in_pieces(uint32_t ip_off, const uint8_t *bytes, size_t readable, size_t len,
                                           tuoi_facts *facts, int merge_zero_csum4) {
    const tuo_verdict verdict =
        tuoi_classify_parsed(bytes, readable, len, ip_off ? (unsigned)TUO_F_ETHERNET : 0u, facts);
    return verdict == TUO_V_HELD ? tuoi_classify_l4(bytes, facts, merge_zero_csum4) : verdict;
}

/* TUO_V_HELD: the configuration allows the packet to merge. */
TUOI_FORCE_INLINE tuo_verdict tuoi_allowed(const tuo_gro_desc *desc, const tuoi_switches *switches,
                                           const uint8_t *bytes, const tuoi_facts *facts) {
    if (facts->shape.l4_off - facts->shape.ip_off > switches->ip_len_max[facts->shape.kind]) return TUO_V_DISABLED;
    /* K 7.3 */
    if ((desc->tcp_excluded_port_count | desc->udp_excluded_port_count) &&
        tuoi_port_excluded(desc, tuoi_is_tcp(facts->shape.kind), bytes + facts->shape.l4_off))
        return TUO_V_PORT_EXCLUDED;
    return facts->total_len > desc->max_bytes ? TUO_V_TOO_LARGE : TUO_V_HELD;
}

/* 1: order repair is off, so no segment may leave before a segment that arrived earlier. */
static int tuoi_in_order_only(const tuo_gro_desc *desc) { return desc->disable_prepend || desc->strict_kernel; }

/* Position of a packet among the open items of its flow. The packet may touch the lower item, the
   upper item or both. The caller then applies the remaining rules to each touched item. */
typedef struct tuoi_position {
    tuo_verdict verdict;      /* of a packet that touches no item */
    uint32_t lower, upper;    /* neighbours in the list, or TUOI_NONE */
    uint8_t touches_lower, touches_upper;
    uint32_t check_count;     /* items compared */
} tuoi_position;

/* Walks over the open items, from the newest to the oldest. Differences are taken modulo 2^32
   (RFC 9293 3.4). */
TUOI_WRAPS static tuoi_position tuoi_position_tcp(const tuoi_item *items, uint32_t newest, const tuoi_facts *facts) {
    const uint32_t open_count = items[items[newest].list].open_count;
    tuoi_position position = { TUO_V_SEQ_GAP, newest, TUOI_NONE, 0, 0, 0 };
    while (position.check_count < open_count) {
        const tuoi_item *const item = &items[position.lower];
        const uint32_t after = facts->seq - (item->seq + item->payload_len);
        const uint32_t before = item->seq - (facts->seq + facts->payload_len);
        position.check_count++;
        if (after < 0x80000000u) {
            position.touches_lower = after == 0;
            break;
        }
        position.verdict = before < 0x80000000u ? TUO_V_SEQ_LATE : TUO_V_SEQ_OVERLAP;
        position.touches_upper = before == 0;
        if (position.verdict == TUO_V_SEQ_OVERLAP) break;
        position.upper = position.lower;
        position.lower = item->older;
    }
    return position;
}

/* 1: a packet that cannot join starts a new item, in sequence order in the list. 0: the flow is
   closed, and the packet starts a new list. */
static int tuoi_opens_in_place(const tuo_gro_desc *desc, unsigned kind, tuo_verdict verdict) {
    if (!tuoi_is_tcp(kind) || tuoi_in_order_only(desc)) return 0;
    switch ((int)verdict) {
        case TUO_V_SEQ_OVERLAP:
        case TUO_V_PAIR_CLOSED:
        case TUO_V_FLOW_LABEL_DIFFERS:
        case TUO_V_IP6_EXT_DIFFERS: return 0;
        default: return 1;
    }
}

/* K 4.4, 5.7: by default IDs count up by one in the order of the bytes, or stay the same under DF.
   The second packet decides between these modes. ip_id and id_mode: of the packet or item that
   would follow. */
TUOI_WRAPS TUOI_FORCE_INLINE int tuoi_ids_fit(const tuo_gro_desc *desc, uint16_t first_id, unsigned first_mode,
                                              uint32_t seg_count, uint16_t ip_id, unsigned id_mode, int df) {
    const uint16_t counting = (uint16_t)(first_id + seg_count);
    if (ip_id == counting && first_mode != TUOI_ID_CONSTANT && id_mode != TUOI_ID_CONSTANT) return 1;
    if (desc->ip_id >= (df ? TUO_IP_ID_ANY_DF : TUO_IP_ID_ANY)) return 1;
    return ip_id == first_id && first_mode != TUOI_ID_COUNTS && id_mode != TUOI_ID_COUNTS && df &&
           desc->ip_id == TUO_IP_ID_DEFAULT;
}

TUOI_FORCE_INLINE int tuoi_ip_ids_fit(const tuo_gro_desc *desc, const tuoi_item *item, uint16_t ip_id, unsigned id_mode,
                                      int df) {
    return tuoi_ids_fit(desc, item->ip_id, item->id_mode, item->seg_count, ip_id, id_mode, df);
}

/* 1: the item may have that many segments, and that many bytes with its headers. */
TUOI_FORCE_INLINE int tuoi_within_limits(const tuoi_item *item, uint32_t len, uint32_t seg_count) {
    return len <= item->max_len && seg_count <= item->max_segs;
}

/* Offset of the IP header of a packet without tags. */
TUOI_FORCE_INLINE uint32_t tuoi_desc_ip_off(const tuo_gro_desc *desc) { return desc->ethernet ? TUOI_ETH_LEN : 0; }

/* TUO_V_HELD: the item can grow by that much. */
TUOI_FORCE_INLINE tuo_verdict tuoi_limits(const tuo_gro_desc *desc, const tuoi_item *item, uint32_t more_len,
                                          uint32_t more_segs) {
    const uint32_t len = item->shape.hdr_len + item->payload_len + more_len, seg_count = item->seg_count + more_segs;
    if (tuoi_within_limits(item, len, seg_count)) return TUO_V_HELD;
    if (len - (item->tunnel ? tuoi_desc_ip_off(desc) : item->shape.ip_off) > desc->max_bytes)
        return TUO_V_CAP_BYTES; /* K 4.13 */
    if (seg_count <= item->max_segs) return TUO_V_CAP_BUFFER;
    if (seg_count <= (tuoi_is_tcp(item->shape.kind) ? desc->max_segs : desc->max_udp_segs)) return TUO_V_CAP_FRAGS;
    return TUO_V_CAP_SEGS; /* K 5.6 */
}

/* K 4.10: all but the last segment have gso_size bytes. */
TUOI_FORCE_INLINE tuo_verdict tuoi_decide_append(const tuo_gro_desc *desc, const tuoi_item *item,
                                                 const tuoi_facts *facts) {
    tuo_verdict caps;
    if (item->closed != TUO_V_HELD) return (tuo_verdict)item->closed;
    if (facts->payload_len > item->gso_size) return TUO_V_LONGER;
    if (facts->ip_version == 4 && !tuoi_ip_ids_fit(desc, item, facts->ip_id, TUOI_ID_UNDECIDED, facts->df))
        return TUO_V_IP_ID_DIFFERS;
    caps = tuoi_limits(desc, item, facts->payload_len, 1);
    return caps == TUO_V_HELD ? TUO_V_APPENDED : caps;
}

/* TUO_V_HELD: max_frags, which limits more_segs by tuoi_limits, lets the item take these pieces as well. */
TUOI_FORCE_INLINE tuo_verdict tuoi_pieces_fit(const tuo_gro_desc *desc, const tuoi_item *item, uint32_t more_segs,
                                              uint32_t more_pieces) {
    if (more_pieces == 0) return TUO_V_HELD;
    return item->seg_count + item->more_pieces + more_segs + more_pieces > desc->max_frags ? TUO_V_CAP_FRAGS
                                                                                          : TUO_V_HELD;
}

/* For two items that touch and have equal headers. TUO_V_HELD: the upper item may follow the lower
   item. The rules are those of tuoi_decide_append, applied to the head of the upper item. */
static tuo_verdict tuoi_decide_join(const tuo_gro_desc *desc, const tuoi_item *lower, const tuoi_item *upper) {
    const uint8_t *const ip = lower->bytes + lower->shape.ip_off;
    const int single = upper->seg_count == 1;
    tuo_verdict caps;
    if (lower->closed != TUO_V_HELD) return (tuo_verdict)lower->closed;
    if (single ? upper->gso_size > lower->gso_size : upper->gso_size != lower->gso_size) return TUO_V_LONGER;
    if (tuoi_is_ip4(lower->shape.kind) &&
        !tuoi_ip_ids_fit(desc, lower, upper->ip_id, upper->id_mode, (ip[TUOI_IP4_FRAG] & 0x40) != 0))
        return TUO_V_IP_ID_DIFFERS;
    caps = tuoi_limits(desc, lower, upper->payload_len, upper->seg_count);
    return caps == TUO_V_HELD ? tuoi_pieces_fit(desc, lower, upper->seg_count, upper->more_pieces) : caps;
}

/* ---------------------------------------------------------------------------------------- >>gro */
/* Applies what the rules decide. Every pushed packet is a record, in order of arrival. An item
   chains the records that leave as one packet. The index maps a flow to the newest item of its
   list.
   Invariants: a record with a list is the first-arrived record of an item of this list; absorbed
   records leave with an item; all other records leave alone. The drain walks the records once. At
   each record with a list, the next item of this list leaves. So the items of a list leave in
   sequence order, at the positions of their first arrivals.
   A packet in k pieces takes k records: its own with the first piece, then k - 1 that are absorbed, the
   first of which has the list of pieces. */

enum { TUOI_VIRTIO_GUEST = 1, TUOI_PIECES_PUSHED = 2 }; /* tuo_gro.special */
enum { TUOI_GUESSES = 256, TUOI_BARRIERS = 64, TUOI_PACKETS_MAX = 1 << 20, TUOI_ITEMS_PER_FLOW_MAX = 64 };

typedef struct tuoi_record {
    tuo_iov iov[2]; /* the packet in the second (in pieces: where it starts, and the length of all; TUOI_PIECE: the list
                       of pieces); the first is the drain's, for the vnet header of a packet that leaves alone */
    void *user;
    uint32_t next; /* record of the next segment in the item, TUOI_NONE or TUOI_PIECE */
    uint32_t list; /* list whose next item leaves at this position; TUOI_NONE: leaves alone; TUOI_ABSORBED: leaves at
                      another position */
} tuoi_record;

struct tuo_gro {
    tuo_gro_desc desc;
    tuo_gro_stats stats;
    tuoi_masks masks;
    tuoi_switches switches;
    const tuoi_sums *sums;
    uint64_t fast_count; /* packets that joined by the fast path: one lookup, one item check each; not in stats */
    uint64_t dice;       /* state of the pseudo-random numbers that choose an entry of a full bucket */
    tuoi_index flows;  /* its stats are part of stats */
    tuoi_record *records;
    tuoi_item *items;
    tuo_iov *iovs;     /* of superpackets, handed out by the drain: 1 per record, and 1 per item of at least 2 */
    void **users;      /* of superpackets, handed out by the drain */
    uint32_t record_count, iov_count, item_count, user_count;
    uint32_t plain_ip_off; /* bytes in front of an IP header without tags */
    uint32_t emit_idx; /* record that the drain looks at next */
    uint32_t leftover; /* rest of a chain whose copying failed, or TUOI_NONE: leaves before emit_idx */
    uint8_t flows_open;   /* pushed since the index was reset */
    uint8_t drained;      /* TUO_DONE was returned: the next push starts over */
    uint8_t borrowed;     /* a held packet came from tuo_gro_push and has no buffer */
    uint8_t barriers_set;
    uint8_t special;      /* TUOI_VIRTIO_GUEST; TUOI_PIECES_PUSHED, since init or the last reconfigure */
    uint8_t hint;         /* TUO_F_TRUST: for every packet */
    uint8_t vnet_len;     /* of the vnet headers in front of what leaves; 0: none */
    uint8_t tunnels;      /* 1: UDP tunnels are looked into */
    uint8_t plain_ip4;    /* 1: plain IPv4 packets take a short cut: no Ethernet header, no tunnels */
    uint16_t max_segs[2][2]; /* of an item: gathered or not, TCP or not */
    uint32_t guess_base;          /* of valid guesses; above 0 */
    uint32_t guess[TUOI_GUESSES]; /* guess_base plus an item, by some bits of a packet: the newest of its flow? */
    uint32_t barrier[TUOI_BARRIERS]; /* by hash of the addresses: flows of items that started before this record are
                                        closed */
};

/* --- memory and configuration --- */

static void tuoi_default32(uint32_t *value, uint32_t fallback) {
    if (*value == 0) *value = fallback;
}

static tuo_gro_desc tuoi_gro_desc_effective(const tuo_gro_desc *desc) {
    tuo_gro_desc d = *desc;
    tuoi_default32(&d.max_packets, 256);
    tuoi_default32(&d.max_flows, 128);
    tuoi_default32(&d.max_bytes, 0xFFFF);
    tuoi_default32(&d.max_segs, TUOI_NONE);
    tuoi_default32(&d.max_udp_segs, 64);
    tuoi_default32(&d.max_frags, 1022);
    tuoi_default32(&d.max_items_per_flow, 16);
    tuoi_default32(&d.vnet_hdr_len, TUO_VNET_LEN);
    return d;
}

static int tuoi_in(uint32_t value, uint32_t low, uint32_t high) { return value >= low && value <= high; }

static int tuoi_gro_desc_ok(const tuo_gro_desc *d) { /* effective */
    const int has_tunnels = d->vxlan_port_count || d->geneve_port_count,
              tunnels_ok = d->vxlan_port_count <= TUO_TUNNEL_PORTS_MAX &&
                           d->geneve_port_count <= TUO_TUNNEL_PORTS_MAX &&
                           (!has_tunnels || d->no_vnet_hdr || d->vnet_hdr_len == TUO_VNET_LEN_TUNNEL);
    const int ids_ok = (unsigned)d->ip_id <= (unsigned)TUO_IP_ID_ANY,
              simd_ok = d->simd == TUO_SIMD_DETECT || tuoi_sums_of(d->simd) != NULL;
    return tuoi_in(d->max_packets, 1, TUOI_PACKETS_MAX) && tuoi_in(d->max_flows, 1, TUOI_FLOWS_MAX) &&
           tuoi_in(d->max_bytes, 576, 0xFFFF) && d->max_segs >= 2 && tuoi_in(d->max_udp_segs, 2, TUOI_UDP_SEGS_MAX) &&
           tuoi_in(d->max_frags, 2, 0xFFFF) && tuoi_in(d->max_items_per_flow, 1, TUOI_ITEMS_PER_FLOW_MAX) &&
           tuoi_vnet_layout_ok(d->vnet_hdr_len, d->vnet_order) &&
           d->tcp_excluded_port_count <= TUO_EXCLUDED_PORTS_MAX &&
           d->udp_excluded_port_count <= TUO_EXCLUDED_PORTS_MAX && ids_ok && simd_ok && tunnels_ok;
}

/* Four entries per flow, so that flows rarely displace each other: the index itself doubles this
   number. */
static uint32_t tuoi_gro_entries(const tuo_gro_desc *d) { return d->max_flows * 2; }

/* One block: instance, index, records, items, iovs, users. */
typedef struct tuoi_gro_layout {
    size_t flows, records, items, iovs, users, end; /* offsets */
} tuoi_gro_layout;

static tuoi_gro_layout tuoi_gro_layout_of(const tuo_gro_desc *d) {
    const size_t n = d->max_packets;
    tuoi_gro_layout at;
    at.flows = tuoi_align_up(sizeof(tuo_gro));
    at.records = at.flows + tuoi_index_memory_size(tuoi_gro_entries(d));
    at.items = at.records + tuoi_align_up(n * sizeof(tuoi_record));
    at.iovs = at.items + tuoi_align_up(n * sizeof(tuoi_item));
    at.users = at.iovs + tuoi_align_up((n + n / 2) * sizeof(tuo_iov));
    at.end = at.users + tuoi_align_up(n * sizeof(void *));
    return at;
}

TUO_API size_t tuo_gro_memory_size(const tuo_gro_desc *desc) {
    const tuo_gro_desc d = tuoi_gro_desc_effective(desc);
    return tuoi_gro_desc_ok(&d) ? tuoi_gro_layout_of(&d).end : 0;
}

/* Forget all packets. The index is left to flows_open: it was reset when the drain began, or is
   reset here. */
static void tuoi_gro_clear(tuo_gro *gro) {
    gro->record_count = gro->item_count = gro->iov_count = gro->user_count = gro->emit_idx = 0;
    gro->leftover = TUOI_NONE;
    gro->drained = gro->borrowed = 0;
}

/* Guesses made so far are below guess_base afterwards: a counter increment, until it would wrap. */
static void tuoi_gro_forget_guesses(tuo_gro *gro) {
    gro->guess_base += gro->desc.max_packets;
    if (gro->guess_base < TUOI_NONE - 2 * TUOI_PACKETS_MAX) return;
    TUO_MEMSET(gro->guess, 0, sizeof gro->guess);
    gro->guess_base = 1;
}

static TUOI_NOINLINE void tuoi_gro_close_flows_now(tuo_gro *gro) {
    gro->flows_open = 0;
    tuoi_index_reset(&gro->flows);
    tuoi_gro_forget_guesses(gro);
    if (gro->barriers_set) TUO_MEMSET(gro->barrier, 0, sizeof gro->barrier);
    gro->barriers_set = 0;
}

TUOI_INLINE void tuoi_gro_close_flows(tuo_gro *gro) {
    if (gro->flows_open) tuoi_gro_close_flows_now(gro);
}

TUO_API void tuo_gro_reset(tuo_gro *gro) {
    tuoi_gro_close_flows(gro);
    tuoi_gro_clear(gro);
}

static void tuoi_gro_configure(tuo_gro *gro, const tuo_gro_desc *effective) {
    uint32_t i;
    gro->desc = *effective;
    if (gro->desc.simd == TUO_SIMD_DETECT) gro->desc.simd = tuo_simd_best();
    gro->sums = tuoi_sums_of(gro->desc.simd);
    gro->plain_ip_off = effective->ethernet ? TUOI_ETH_LEN : 0;
    gro->hint = effective->trust_checksums ? TUO_F_TRUST : 0;
    for (i = 0; i < 2; i++) {
        const uint32_t max_segs = i ? effective->max_frags : 0xFFFF; /* max_frags is at most that */
        gro->max_segs[i][0] = (uint16_t)tuoi_min32(max_segs, effective->max_udp_segs);
        gro->max_segs[i][1] = (uint16_t)tuoi_min32(max_segs, effective->max_segs);
    }
    gro->switches = tuoi_switches_of(effective);
    gro->tunnels = !effective->finish_checksum && (effective->vxlan_port_count || effective->geneve_port_count);
    gro->plain_ip4 = !effective->ethernet && !gro->tunnels;
    gro->vnet_len = (uint8_t)(effective->no_vnet_hdr ? 0 : effective->vnet_hdr_len);
    gro->special = effective->virtio_guest ? TUOI_VIRTIO_GUEST : 0;
}

TUO_API tuo_result tuo_gro_init(tuo_gro **gro, void *mem, size_t mem_len, const tuo_gro_desc *desc) {
    const tuo_gro_desc d = tuoi_gro_desc_effective(desc);
    uint8_t *const base = (uint8_t *)mem;
    tuo_gro *const g = (tuo_gro *)mem;
    tuoi_gro_layout at;
    TUO_ASSERT(gro != NULL);
    if (!tuoi_gro_desc_ok(&d) || !tuo_simd_usable(d.simd) || !tuoi_aligned(mem)) return TUO_E_INVALID;
    at = tuoi_gro_layout_of(&d);
    if (mem_len < at.end) return TUO_E_NOSPACE;
    TUO_MEMSET(g, 0, sizeof *g);
    tuoi_gro_configure(g, &d);
    tuoi_masks_build(&g->masks);
    g->records = (tuoi_record *)(void *)(base + at.records);
    g->items = (tuoi_item *)(void *)(base + at.items);
    g->iovs = (tuo_iov *)(void *)(base + at.iovs);
    g->users = (void **)(void *)(base + at.users);
    tuoi_index_init(&g->flows, base + at.flows, tuoi_gro_entries(&d), d.hash_seed);
    g->dice = g->flows.finish_key;
    g->guess_base = 1;
    tuoi_gro_clear(g);
    *gro = g;
    return TUO_OK;
}

static int tuoi_gro_holds(const tuo_gro *gro) {
    return gro->emit_idx < gro->record_count || gro->leftover != TUOI_NONE;
}

TUO_API tuo_result tuo_gro_reconfigure(tuo_gro *gro, const tuo_gro_desc *desc) {
    tuo_gro_desc d = *desc;
    tuoi_default32(&d.max_packets, gro->desc.max_packets);
    tuoi_default32(&d.max_flows, gro->desc.max_flows);
    if (d.hash_seed == 0) d.hash_seed = gro->desc.hash_seed;
    if (d.simd == TUO_SIMD_DETECT) d.simd = gro->desc.simd;
    d = tuoi_gro_desc_effective(&d);
    if (d.max_packets != gro->desc.max_packets || d.max_flows != gro->desc.max_flows ||
        d.hash_seed != gro->desc.hash_seed) {
        return TUO_E_INVALID;
    }
    if (!tuoi_gro_desc_ok(&d) || tuoi_gro_holds(gro)) return TUO_E_INVALID;
    /* CPUID is slow: not without need */
    if (d.simd != gro->desc.simd && !tuo_simd_usable(d.simd)) return TUO_E_INVALID;
    tuoi_gro_configure(gro, &d);
    return TUO_OK;
}

TUO_API void tuo_gro_query_desc(const tuo_gro *gro, tuo_gro_desc *desc) { *desc = gro->desc; }

TUO_API void tuo_gro_query_stats(const tuo_gro *gro, tuo_gro_stats *stats) {
    uint32_t i;
    *stats = gro->stats;
    stats->verdicts[TUO_V_APPENDED] += gro->fast_count;
    for (i = 0; i < TUO_V_NO_ROOM; i++) stats->packets_in += stats->verdicts[i];
    stats->flow = gro->flows.stats;
    stats->flow.lookups += gro->fast_count;
    stats->flow.probes += gro->fast_count * TUO_FLOW_WAYS;
    stats->item_checks += gro->fast_count;
}

/* --- flows --- */
/* tuoi_same_flow alone defines a flow, by comparing packets: the index holds no keys. Packets of
   the same flow must have the same hash. */

/* Sum over the two addresses: a hash for the barriers, and a part of the hash of the flow. */
TUOI_FORCE_INLINE uint64_t tuoi_nh_addresses(const tuoi_index *index, const uint8_t *ip, int ip4) {
    return ip4 ? tuoi_nh(index, ip + TUOI_IP4_SRC, 2, 0) : tuoi_nh(index, ip + TUOI_IP6_SRC, 8, 0);
}

/* Addresses, ports and protocol. */
TUOI_WRAPS TUOI_FORCE_INLINE uint64_t tuoi_flow_hash(const tuoi_index *index, const uint8_t *ip, const uint8_t *l4,
                                                     int ip4, unsigned proto) {
    const uint32_t ports = tuoi_load32(l4) + index->word_keys[8];
    const uint32_t rest = proto + index->word_keys[9];
    return tuoi_hash_finish(index, tuoi_nh_addresses(index, ip, ip4) + (uint64_t)ports * rest);
}

/* For the bytes in front of the IP header of a packet with tags, which few flows have. */
TUOI_WRAPS static uint64_t tuoi_hash_bytes(uint64_t hash, const uint8_t *p, uint32_t len) {
    uint32_t i;
    for (i = 0; i < len; i++) hash = (hash ^ p[i]) * 0x100000001B3u;
    return hash;
}

/* Offset of the IP header of a packet without tags. */
TUOI_FORCE_INLINE uint32_t tuoi_plain_ip_off(const tuo_gro *gro) { return gro->plain_ip_off; }

/* The bucket for the flow of a parsed packet. */
TUOI_FORCE_INLINE tuoi_slot tuoi_gro_probe(const tuo_gro *gro, const tuoi_packet *pkt) {
    const tuoi_facts *const facts = &pkt->facts;
    const uint8_t *const ip = pkt->bytes + facts->shape.ip_off;
    uint64_t hash = tuoi_flow_hash(&gro->flows, ip, pkt->bytes + facts->shape.l4_off, facts->ip_version == 4,
                                   facts->l4_proto);
    if (facts->shape.ip_off != tuoi_plain_ip_off(gro)) /* of a tunnel, the inner packet's hash will do */
        hash = tuoi_hash_bytes(hash ^ gro->flows.finish_key, pkt->bytes, facts->tunnel ? 0 : facts->shape.ip_off);
    return tuoi_index_probe(&gro->flows, hash);
}

/* The outer headers of a packet in a tunnel have no tags and no extension headers. */
TUOI_FORCE_INLINE uint32_t tuoi_outer_l4_off(const tuo_gro *gro, unsigned tunnel) {
    return gro->plain_ip_off + tuoi_fixed_len(tuoi_is_ip4(tunnel));
}

/* In front of the inner IP header: the same Ethernet header, addresses, ports and tunnel header. */
static TUOI_NOINLINE int tuoi_same_tunnel(const tuo_gro *gro, const tuoi_item *item, const tuoi_packet *pkt) {
    const tuoi_kind_row *const kind = &tuoi_kinds[item->tunnel];
    const uint8_t *const a = item->bytes, *const b = pkt->bytes;
    const uint32_t addr_off = gro->plain_ip_off + kind->addr_off, l4_off = tuoi_outer_l4_off(gro, item->tunnel);
    const uint32_t opaque_off = l4_off + TUOI_UDP_LEN;
    return tuoi_same_bytes(a, b, gro->plain_ip_off) &&
           tuoi_same_bytes(a + addr_off, b + addr_off, 2 * (size_t)kind->addr_len) &&
           tuoi_load32(a + l4_off) == tuoi_load32(b + l4_off) &&
           tuoi_same_bytes(a + opaque_off, b + opaque_off, item->shape.ip_off - opaque_off);
}

/* Flow identity: bytes in front of the IP header, IP version, addresses, protocol, ports. Packets
   of a flow can differ in flow label, extension headers and IPv4 options. */
TUOI_FORCE_INLINE int tuoi_same_flow(const tuo_gro *gro, const tuoi_item *item, const tuoi_packet *pkt) {
    const tuoi_facts *const facts = &pkt->facts;
    const int ip4 = facts->ip_version == 4;
    const uint32_t addr_off = ip4 ? TUOI_IP4_SRC : TUOI_IP6_SRC;
    const uint8_t *const a = item->bytes + item->shape.ip_off, *const b = pkt->bytes + facts->shape.ip_off;
    if (item->shape.ip_off != facts->shape.ip_off || item->tunnel != facts->tunnel ||
        tuoi_is_ip4(item->shape.kind) != ip4 ||
        tuoi_is_tcp(item->shape.kind) != (facts->l4_proto == TUOI_PROTO_TCP))
        return 0;
    if (tuoi_load32(item->bytes + item->shape.l4_off) != tuoi_load32(pkt->bytes + facts->shape.l4_off)) return 0;
    if (ip4 ? tuoi_load64(a + addr_off) != tuoi_load64(b + addr_off) : TUO_MEMCMP(a + addr_off, b + addr_off, 32) != 0)
        return 0;
    if (facts->tunnel) return tuoi_same_tunnel(gro, item, pkt);
    return tuoi_same_bytes(item->bytes, pkt->bytes, facts->shape.ip_off);
}

/* The slot of the packet's flow in the index. The value of the slot is the newest item of the flow.
   way is TUO_FLOW_WAYS if the flow has no slot. */
TUOI_FORCE_INLINE tuoi_slot tuoi_gro_find(tuo_gro *gro, const tuoi_packet *pkt) {
    tuoi_slot slot = tuoi_gro_probe(gro, pkt);
    tuoi_index_count_lookup(&gro->flows, &slot);
    while (tuoi_slot_next(&slot)) {
        if (tuoi_same_flow(gro, &gro->items[slot.bucket->value[slot.way]], pkt)) break;
    }
    return slot;
}

static uint32_t *tuoi_gro_barrier(tuo_gro *gro, const uint8_t *ip, int ip4) {
    return &gro->barrier[(tuoi_hash_finish(&gro->flows, tuoi_nh_addresses(&gro->flows, ip, ip4)) >> 40) %
                         TUOI_BARRIERS];
}

/* Closes a flow that is in the index. */
static void tuoi_gro_close_flow(tuo_gro *gro, const tuoi_slot *slot) {
    gro->items[slot->bucket->value[slot->way]].fast_len = 0;
    tuoi_index_remove(&gro->flows, slot);
}

/* Closes all flows between the two addresses of a packet. */
static void tuoi_gro_set_barrier(tuo_gro *gro, const tuoi_packet *pkt) {
    const uint8_t *const ip = pkt->bytes + pkt->facts.shape.ip_off;
    *tuoi_gro_barrier(gro, ip, pkt->facts.ip_version == 4) = pkt->record + 1;
    gro->barriers_set = 1;
    tuoi_gro_forget_guesses(gro);
}

/* Of what is not a fragment. */
TUOI_FORCE_INLINE int tuoi_ports_known(const tuoi_facts *facts) {
    return facts->shape.l4_off && facts->shape.ip_off + facts->total_len - facts->shape.l4_off >= 4;
}

/* For a packet that never merges, but may belong to a held flow. If its ports are known, this flow
   is closed. Otherwise all flows of its addresses are closed. Packets of other protocols, and
   packets too broken for a receiver, close no flow. */
static TUOI_NOINLINE void tuoi_gro_close_behind(tuo_gro *gro, tuo_verdict verdict, const tuoi_packet *pkt) {
    const tuoi_facts *const facts = &pkt->facts;
    const int ports_known = tuoi_ports_known(facts);
    switch ((int)verdict) {
        case TUO_V_NOT_IP:
        case TUO_V_TRUNCATED:
        case TUO_V_VLAN_DEPTH:
        case TUO_V_IP_HEADER:
        case TUO_V_IP_LENGTH:
        case TUO_V_PROTOCOL: return;
        default: break;
    }
    if (ports_known && verdict != TUO_V_IP_FRAGMENT && verdict != TUO_V_IP6_EXT && verdict != TUO_V_TCP_HEADER) {
        tuoi_slot slot;
        /* no candidate has that many header bytes */
        if (facts->shape.l4_off > TUO_HEADER_MAX) return;
        slot = tuoi_gro_find(gro, pkt);
        if (slot.way < TUO_FLOW_WAYS) tuoi_gro_close_flow(gro, &slot);
    } else {
        tuoi_gro_set_barrier(gro, pkt);
    }
}

/* --- joining --- */

/* For candidates: their IPv4 headers have no options. */
TUOI_FORCE_INLINE int tuoi_gro_ip_csum_ok(const uint8_t *bytes, const tuoi_shape *shape) {
    return !tuoi_is_ip4(shape->kind) || tuoi_ip4_csum_ok(bytes + shape->ip_off, TUOI_IP4_LEN);
}

static TUOI_NOINLINE tuoi_csum tuoi_gro_verify_ip(const uint8_t *bytes, const tuoi_shape *shape) {
    return tuoi_gro_ip_csum_ok(bytes, shape) ? TUOI_CSUM_RIGHT : TUOI_CSUM_BAD_IP;
}

static TUOI_NOINLINE tuoi_csum tuoi_gro_verify(tuo_gro *gro, const uint8_t *bytes, const tuoi_shape *shape,
                                               uint32_t payload_len, uint8_t *copy_to) {
    gro->stats.verified_packets++;
    if (!tuoi_gro_ip_csum_ok(bytes, shape)) return TUOI_CSUM_BAD_IP;
    return tuoi_l4_csum_ok(gro->sums, bytes, shape, payload_len, copy_to) ? TUOI_CSUM_RIGHT : TUOI_CSUM_BAD_L4;
}

/* The same if UDP over IPv4 may lack a checksum (merge_zero_csum4): then the IPv4 header is verified,
   and nothing is summed. */
static TUOI_NOINLINE tuoi_csum tuoi_gro_verify_any(tuo_gro *gro, const uint8_t *bytes, const tuoi_shape *shape,
                                                   uint32_t payload_len, uint8_t *copy_to) {
    if (shape->kind != TUO_KIND_UDP4 || tuoi_load16(bytes + shape->l4_off + TUOI_UDP_CSUM) != 0)
        return tuoi_gro_verify(gro, bytes, shape, payload_len, copy_to);
    if (copy_to) TUO_MEMCPY(copy_to, bytes + shape->hdr_len, payload_len);
    return tuoi_gro_verify_ip(bytes, shape);
}

/* tuoi_gro_verify for a packet in pieces. */
static TUOI_NOINLINE tuoi_csum tuoi_gro_verify_pieces(tuo_gro *gro, uint32_t at, const tuoi_shape *shape,
                                                      uint32_t payload_len) {
    const tuoi_record *const record = &gro->records[at];
    const uint8_t *const bytes = (const uint8_t *)record->iov[1].base;
    const tuo_iov *const pieces = &record[1].iov[1];
    uint32_t sum;
    gro->stats.verified_packets++;
    if (tuoi_gro_verify_ip(bytes, shape) != TUOI_CSUM_RIGHT) return TUOI_CSUM_BAD_IP;
    if (shape->kind == TUO_KIND_UDP4 && tuoi_load16(bytes + shape->l4_off + TUOI_UDP_CSUM) == 0) return TUOI_CSUM_RIGHT;
    sum = tuoi_sum_pieces(gro->sums, (const tuo_iov *)pieces->base, pieces->len, shape->l4_off);
    sum += tuoi_pseudo(bytes, shape, shape->hdr_len - shape->l4_off + payload_len);
    return tuoi_fold(sum) == 0xFFFFu ? TUOI_CSUM_RIGHT : TUOI_CSUM_BAD_L4;
}

static TUOI_NOINLINE void tuoi_gro_verify_head(tuo_gro *gro, tuoi_item *item) {
    tuoi_csum csum;
    if (item->head_csum == TUOI_CSUM_PIECES) {
        csum = tuoi_gro_verify_pieces(gro, item->head, &item->shape, item->payload_len);
    } else {
        csum = item->head_csum == TUOI_CSUM_L4_RIGHT
                   ? tuoi_gro_verify_ip(item->bytes, &item->shape)
                   : tuoi_gro_verify_any(gro, item->bytes, &item->shape, item->payload_len, NULL);
    }
    item->head_csum = (uint8_t)csum;
}

/* The verdict for a packet behind this one; TUO_V_HELD: packets may be appended. */
TUOI_FORCE_INLINE tuo_verdict tuoi_closes_after(const tuoi_facts *facts, uint32_t gso_size, int head) {
    const int tcp = facts->l4_proto == TUOI_PROTO_TCP;
    if (tcp && (facts->tcp_flags & (TUOI_FIN | TUOI_PSH))) return TUO_V_AFTER_PSH_FIN; /* K 4.11 */
    if (tcp && head && gso_size < TUOI_TCP_GSO_SIZE_MIN) return TUO_V_TINY;               /* K 1.9 */
    return facts->payload_len < gso_size ? TUO_V_AFTER_SHORT : TUO_V_HELD;             /* K 4.10, 5.5 */
}

/* Frame bytes of a segment that the fast path may append to an item. */
TUOI_FORCE_INLINE uint32_t tuoi_fast_len(const tuoi_item *item) {
    const int fast = item->plain && item->closed == TUO_V_HELD && item->newer == TUOI_NONE;
    return fast ? item->shape.hdr_len + item->gso_size : 0;
}

/* An item takes pieces beyond one per segment: fewer segments fit into max_frags. */
static void tuoi_item_add_pieces(const tuo_gro *gro, tuoi_item *item, uint32_t more_pieces) {
    item->more_pieces = (uint16_t)(item->more_pieces + more_pieces); /* max_frags is at most 65535 */
    item->max_segs = (uint16_t)tuoi_min32(item->max_segs, gro->desc.max_frags - item->more_pieces);
}

/* Fills an item that is not in use with this packet, as a list of one item. */
TUOI_FORCE_INLINE tuoi_item *tuoi_item_fill(tuo_gro *gro, const tuoi_packet *pkt, uint32_t at) {
    tuoi_item *const item = &gro->items[at];
    item->bytes = pkt->bytes;
    item->collect = pkt->collect;
    item->head = item->tail = item->first = pkt->record;
    item->older = item->newer = TUOI_NONE;
    item->list = item->leaves = at;
    item->open_count = 1;
    item->seq = pkt->facts.seq;
    item->payload_len = pkt->facts.payload_len;
    item->seg_count = 1;
    item->max_len = gro->desc.max_bytes + (pkt->facts.tunnel ? gro->plain_ip_off : pkt->facts.shape.ip_off);
    item->max_len = tuoi_min32(item->max_len, pkt->capacity);
    item->max_segs = gro->max_segs[pkt->capacity == TUOI_GATHERED][pkt->facts.l4_proto == TUOI_PROTO_TCP];
    item->gso_size = (uint16_t)pkt->facts.payload_len; /* total_len is at most max_bytes */
    item->ip_id = pkt->facts.ip_id;
    item->more_pieces = 0;
    item->id_mode = TUOI_ID_UNDECIDED;
    item->plain = pkt->facts.plain;
    item->closed = (uint8_t)tuoi_closes_after(&pkt->facts, item->gso_size, 1);
    item->head_csum = (uint8_t)pkt->csum;
    item->tunnel = pkt->facts.tunnel;
    item->outer_id_mode = TUOI_ID_UNDECIDED;
    if (pkt->more_pieces) tuoi_item_add_pieces(gro, item, pkt->more_pieces);
    item->shape.ip_off = pkt->facts.shape.ip_off;
    item->shape.l4_off = pkt->facts.shape.l4_off;
    item->shape.hdr_len = pkt->facts.shape.hdr_len;
    item->shape.kind = pkt->facts.shape.kind;
    item->fast_len = tuoi_fast_len(item);
    return item;
}

TUOI_FORCE_INLINE void tuoi_item_append(tuoi_record *records, tuoi_item *item, uint32_t record, uint32_t payload_len,
                                        uint16_t ip_id) {
    records[item->tail].next = record;
    records[record].list = TUOI_ABSORBED;
    item->tail = record;
    if (item->seg_count == 1) {
        records[item->first].list = item->list;
        item->id_mode = ip_id == item->ip_id ? TUOI_ID_CONSTANT : TUOI_ID_COUNTS;
    }
    item->payload_len += payload_len;
    item->seg_count++;
}

/* Inserts a filled item between its neighbours in the list. */
static void tuoi_list_add(tuo_gro *gro, uint32_t list, uint32_t added, const tuoi_position *position) {
    tuoi_record *const records = gro->records;
    tuoi_item *const items = gro->items, *const item = &items[added];
    item->list = list;
    item->older = position->lower;
    item->newer = position->upper;
    item->fast_len = tuoi_fast_len(item);
    records[item->first].list = list;
    if (item->newer != TUOI_NONE) {
        items[item->newer].older = added;
        records[items[item->newer].first].list = list;
    }
    if (item->older != TUOI_NONE) {
        items[item->older].newer = added;
        records[items[item->older].first].list = list;
    } else {
        items[list].leaves = added;
    }
    items[list].open_count++;
}

/* Closes the oldest open item if the list has more than max_items_per_flow open items. */
static void tuoi_list_trim(tuo_gro *gro, tuoi_item *list) {
    list->open_count = tuoi_min32(list->open_count, gro->desc.max_items_per_flow);
}

/* Removes the upper of two open neighbours. */
static void tuoi_list_remove_upper(tuo_gro *gro, tuoi_item *lower, tuoi_item *upper) {
    lower->newer = upper->newer;
    if (lower->newer != TUOI_NONE) gro->items[lower->newer].older = upper->older;
    lower->fast_len = tuoi_fast_len(lower);
    gro->items[lower->list].open_count--;
}

/* Sets id_mode and closed of the lower item, which takes the packets of the upper item. */
static void tuoi_item_join_rules(tuoi_item *lower, const tuoi_item *upper) {
    if (lower->seg_count == 1) lower->id_mode = upper->id_mode;
    if (lower->id_mode == TUOI_ID_UNDECIDED)
        lower->id_mode = lower->ip_id == upper->ip_id ? TUOI_ID_CONSTANT : TUOI_ID_COUNTS;
    lower->closed = upper->closed;
    if (upper->seg_count == 1 && upper->closed != TUO_V_AFTER_PSH_FIN) /* not a head any more, but a tail */
        lower->closed = (uint8_t)(upper->payload_len < lower->gso_size ? TUO_V_AFTER_SHORT : TUO_V_HELD);
}

/* Moves the packets of the upper item into the lower item. The list gives up the later of
   their two positions. If the lower item collects its payloads, a single payload is copied now.
   Several payloads, which the upper item may have collected, are left to the drain, and so is a
   payload that is in no buffer. */
static void tuoi_item_join(tuo_gro *gro, tuoi_item *lower, tuoi_item *upper) {
    const uint32_t later = lower->first > upper->first ? lower->first : upper->first;
    const uint32_t hdr_len = lower->shape.hdr_len;
    gro->records[lower->tail].next = upper->head;
    gro->records[later].list = TUOI_ABSORBED;
    lower->first = tuoi_min32(lower->first, upper->first);
    lower->tail = upper->tail;
    if (upper->seg_count > 1 || upper->collect == NULL) lower->collect = NULL;
    if (lower->collect)
        TUO_MEMCPY(lower->collect + hdr_len + lower->payload_len, upper->bytes + hdr_len, upper->payload_len);
    tuoi_item_join_rules(lower, upper);
    lower->payload_len += upper->payload_len;
    lower->seg_count += upper->seg_count;
    if (upper->more_pieces) tuoi_item_add_pieces(gro, lower, upper->more_pieces);
    tuoi_list_remove_upper(gro, lower, upper);
}

/* Position of a packet in its flow. newest: the newest item of the flow. */
static tuoi_position tuoi_gro_position(tuo_gro *gro, uint32_t newest, const tuoi_packet *pkt) {
    const uint8_t *const ip = pkt->bytes + pkt->facts.shape.ip_off;
    tuoi_position position = { TUO_V_HELD, newest, TUOI_NONE, 1, 0, 1 };
    if (tuoi_is_tcp(pkt->facts.shape.kind)) position = tuoi_position_tcp(gro->items, newest, &pkt->facts);
    gro->stats.item_checks += position.check_count;
    if (gro->barriers_set &&
        (gro->items[newest].first < *tuoi_gro_barrier(gro, ip, pkt->facts.ip_version == 4) ||
         (pkt->facts.tunnel && gro->items[newest].first < *tuoi_gro_barrier(gro, pkt->bytes + gro->plain_ip_off,
                                                                            tuoi_is_ip4(pkt->facts.tunnel))))) {
        position.verdict = TUO_V_PAIR_CLOSED;
        position.touches_lower = position.touches_upper = 0;
    }
    return position;
}

static tuo_verdict tuoi_bad_csum_verdict(int of_ip) { return of_ip ? TUO_V_BAD_IP_CSUM : TUO_V_BAD_L4_CSUM; }

/* K 9 C1: the checksums on both sides of a merge must be right, verified here or trusted by the
   caller. Each packet is summed at most once. If the item collects its payloads, the same pass
   copies the payload behind the last payload. The copy is used only if the packet joins. has_csum:
   the packet does not lack a checksum; known at compile time. */
TUOI_FORCE_INLINE tuo_verdict tuoi_gro_verify_append(tuo_gro *gro, tuoi_item *item, tuoi_packet *pkt,
                                                     uint32_t payload_len, int has_csum) {
    uint8_t *const copy_to = pkt->capacity != TUOI_GATHERED && item->collect
                                 ? item->collect + item->shape.hdr_len + item->payload_len
                                 : NULL;
    if (pkt->csum == TUOI_CSUM_UNKNOWN) {
        pkt->csum = has_csum ? tuoi_gro_verify(gro, pkt->bytes, &item->shape, payload_len, copy_to)
                             : tuoi_gro_verify_any(gro, pkt->bytes, &item->shape, payload_len, copy_to);
    } else {
        if (pkt->csum == TUOI_CSUM_L4_RIGHT) pkt->csum = tuoi_gro_verify_ip(pkt->bytes, &item->shape);
        if (copy_to) TUO_MEMCPY(copy_to, pkt->bytes + item->shape.hdr_len, payload_len);
    }
    if (pkt->csum != TUOI_CSUM_RIGHT) return tuoi_bad_csum_verdict(pkt->csum == TUOI_CSUM_BAD_IP);
    if (item->head_csum == TUOI_CSUM_RIGHT) return TUO_V_APPENDED;
    if (item->head_csum >= TUOI_CSUM_L4_RIGHT) tuoi_gro_verify_head(gro, item);
    return item->head_csum == TUOI_CSUM_RIGHT ? TUO_V_APPENDED : TUO_V_HEAD_BAD_CSUM;
}

/* K 9 C1 for two items: verifies their heads, because all other packets are known to be right.
   TUO_V_HELD: both heads are right. */
static tuo_verdict tuoi_gro_verify_heads(tuo_gro *gro, tuoi_item *lower, tuoi_item *upper) {
    if (lower->head_csum >= TUOI_CSUM_L4_RIGHT) tuoi_gro_verify_head(gro, lower);
    if (lower->head_csum != TUOI_CSUM_RIGHT) return tuoi_bad_csum_verdict(lower->head_csum == TUOI_CSUM_BAD_IP);
    if (upper->head_csum >= TUOI_CSUM_L4_RIGHT) tuoi_gro_verify_head(gro, upper);
    return upper->head_csum == TUOI_CSUM_RIGHT ? TUO_V_HELD : TUO_V_HEAD_BAD_CSUM;
}

/* --- the fast path --- */
/* Most packets are the next segment of their flow, of full length. One masked comparison with the
   head of an item replaces parser, index and header rules: same flow, candidate, equal headers and
   lengths, no FIN or PSH. What differs from segment to segment is compared apart. The fast path
   only appends. All other packets take the slow path, which starts from the beginning. */

/* Which item may be the newest of the flow of a plain packet; a wrong guess fails the comparison. By
   the last bytes of addresses and ports: flows that count one of these up do not collide. */
TUOI_FORCE_INLINE uint32_t *tuoi_gro_guess(tuo_gro *gro, const uint8_t *l4, int ip4) {
    const uint8_t *const dst = l4 - 1, *const src = dst - (ip4 ? 4 : 16);
    return &gro->guess[(uint8_t)(*src ^ *dst ^ l4[1] ^ l4[3])];
}

/* For a packet whose headers are those of the next full segment under tuoi_masks.next: do the fields
   that differ per segment go on, and are its checksums none of the aliases of tuoi_classify_l4? */
TUOI_FORCE_INLINE int tuoi_fields_go_on(const tuo_gro_desc *desc, const tuoi_item *item, const uint8_t *ip,
                                        const uint8_t *l4) {
    if (tuoi_is_tcp(item->shape.kind)) {
        if (tuoi_rd32(l4 + TUOI_TCP_SEQ) != tuoi_seq_add(item->seq, item->payload_len)) return 0;
        if (tuoi_load16(l4 + TUOI_TCP_CSUM) == 0xFFFFu) return 0;
    } else if (tuoi_load16(l4 + TUOI_UDP_CSUM) == 0) {
        return 0;
    }
    if (!tuoi_is_ip4(item->shape.kind)) return 1;
    return tuoi_load16(ip + TUOI_IP4_CSUM) != 0xFFFFu &&
           tuoi_ip_ids_fit(desc, item, tuoi_rd16(ip + TUOI_IP4_ID), TUOI_ID_UNDECIDED, (ip[TUOI_IP4_FRAG] & 0x40) != 0);
}

/* 1: the packet was appended. */
TUOI_WRAPS TUOI_FORCE_INLINE int tuoi_gro_fast(tuo_gro *gro, tuoi_packet *pkt) {
    const uint32_t ip_off = tuoi_plain_ip_off(gro);
    const uint8_t *ip, *l4;
    uint32_t guess;
    tuoi_item *item;
    int ip4;
    if (pkt->len < ip_off + TUOI_IP6_LEN + 4) return 0;
    ip = pkt->bytes + ip_off;
    ip4 = ip[0] >> 4 == 4;
    l4 = ip + tuoi_fixed_len(ip4);
    guess = *tuoi_gro_guess(gro, l4, ip4) - gro->guess_base;
    if (guess >= gro->item_count) return 0;
    item = &gro->items[guess];
    if (pkt->len != item->fast_len) return 0;
    if (!tuoi_equal_masked(item->bytes, pkt->bytes, gro->masks.next[item->shape.kind] + TUOI_ETH_LEN - ip_off,
                           item->shape.hdr_len))
        return 0;
    if (!tuoi_fields_go_on(&gro->desc, item, ip, l4)) return 0;
    if (!tuoi_within_limits(item, item->fast_len + item->payload_len, item->seg_count + 1)) return 0;
    if (tuoi_gro_verify_append(gro, item, pkt, item->gso_size, 1) != TUO_V_APPENDED) return 0;
    tuoi_item_append(gro->records, item, pkt->record, item->gso_size, tuoi_rd16(ip + TUOI_IP4_ID));
    return 1;
}

/* --- the slow path --- */

/* Chooses the entry of a bucket for a new flow. First a free entry, then the entry of a flow whose
   newest item is closed, then a random entry, so that alternating flows do not all displace each
   other. */
TUOI_FORCE_INLINE uint32_t tuoi_gro_choose_way(tuo_gro *gro, tuoi_bucket *bucket) {
    uint32_t way = tuoi_index_free_way(&gro->flows, bucket);
    if (way < TUO_FLOW_WAYS) return way;
    for (way = 0; way < TUO_FLOW_WAYS; way++) {
        if (gro->items[bucket->value[way]].closed != TUO_V_HELD) return way;
    }
    return (uint32_t)(tuoi_mix64(&gro->dice) >> 32) % TUO_FLOW_WAYS;
}

/* Lets the fast path find an item, if it may append to it. */
TUOI_FORCE_INLINE void tuoi_gro_offer(tuo_gro *gro, uint32_t at, const uint8_t *l4, int ip4) {
    if (gro->items[at].fast_len) *tuoi_gro_guess(gro, l4, ip4) = gro->guess_base + at;
}

/* Makes an item the newest of its flow; newest is in the index. The fast path appends only to the newest
   item, whichever of its flow a guess still refers to. */
static void tuoi_gro_set_newest(tuo_gro *gro, uint32_t *newest, uint32_t added) {
    const tuoi_item *const item = &gro->items[added];
    gro->items[*newest].fast_len = 0;
    *newest = added;
    tuoi_gro_offer(gro, added, item->bytes + item->shape.l4_off, tuoi_is_ip4(item->shape.kind));
}

/* Two items that touch: TUO_V_HELD if they may become one. */
static tuo_verdict tuoi_gro_may_join(tuo_gro *gro, tuoi_item *lower, tuoi_item *upper) {
    tuo_verdict verdict = tuoi_headers_differ(&gro->masks, lower, upper->bytes, &upper->shape);
    if (verdict == TUO_V_HELD) verdict = tuoi_decide_join(&gro->desc, lower, upper);
    return verdict == TUO_V_HELD ? tuoi_gro_verify_heads(gro, lower, upper) : verdict;
}

static uint16_t tuoi_outer_ip_id(const tuo_gro *gro, const tuoi_item *item) {
    return tuoi_is_ip4(item->tunnel) ? tuoi_rd16(item->bytes + gro->plain_ip_off + TUOI_IP4_ID) : 0;
}

/* What may differ within a tunnel, but not within an item. TUO_V_HELD: nothing does. Outer IDs have the
   rule of inner ones, on their own. */
static TUOI_NOINLINE tuo_verdict tuoi_tunnel_differs(const tuo_gro *gro, const tuoi_item *item,
                                                     const tuoi_packet *pkt) {
    const int ip4 = tuoi_is_ip4(item->tunnel);
    const uint8_t *const a = item->bytes + gro->plain_ip_off, *const b = pkt->bytes + gro->plain_ip_off;
    const uint32_t csum_off = tuoi_fixed_len(ip4) + TUOI_UDP_CSUM;
    const tuo_verdict verdict = tuoi_layer_differs(ip4 ? TUOI_LAYER_IP4 : TUOI_LAYER_IP6, a, b);
    if (verdict != TUO_V_HELD) return verdict;
    if ((tuoi_load16(a + csum_off) == 0) != (tuoi_load16(b + csum_off) == 0)) return TUO_V_TUNNEL_DIFFERS;
    if (ip4 && !tuoi_ids_fit(&gro->desc, tuoi_outer_ip_id(gro, item), item->outer_id_mode, item->seg_count,
                             pkt->facts.outer_ip_id, TUOI_ID_UNDECIDED, pkt->facts.outer_df))
        return TUO_V_IP_ID_DIFFERS;
    return TUO_V_HELD;
}

/* For a packet in pieces that may be appended. The item counts the pieces even if a checksum is wrong: no packet
   joins it then. */
static TUOI_NOINLINE tuo_verdict tuoi_gro_append_pieces(tuo_gro *gro, tuoi_item *item, tuoi_packet *pkt) {
    if (tuoi_pieces_fit(&gro->desc, item, 1, pkt->more_pieces) != TUO_V_HELD) return TUO_V_CAP_FRAGS;
    tuoi_item_add_pieces(gro, item, pkt->more_pieces);
    if (pkt->csum == TUOI_CSUM_PIECES)
        pkt->csum = tuoi_gro_verify_pieces(gro, pkt->record, &item->shape, pkt->facts.payload_len);
    return TUO_V_APPENDED;
}

/* A packet that touches the item below, and perhaps closes the gap to the item above. */
static tuo_verdict tuoi_gro_try_append(tuo_gro *gro, tuoi_packet *pkt, uint32_t *newest,
                                       const tuoi_position *position) {
    tuoi_item *const item = &gro->items[position->lower];
    tuo_verdict verdict = item->tunnel ? tuoi_tunnel_differs(gro, item, pkt) : TUO_V_HELD;
    if (verdict == TUO_V_HELD) verdict = tuoi_headers_differ(&gro->masks, item, pkt->bytes, &pkt->facts.shape);
    if (verdict == TUO_V_HELD) verdict = tuoi_decide_append(&gro->desc, item, &pkt->facts);
    if (verdict == TUO_V_APPENDED && pkt->more_pieces) verdict = tuoi_gro_append_pieces(gro, item, pkt);
    if (verdict == TUO_V_APPENDED) verdict = tuoi_gro_verify_append(gro, item, pkt, pkt->facts.payload_len, 0);
    if (verdict != TUO_V_APPENDED) return verdict;
    if (item->seg_count == 1 && item->tunnel)
        item->outer_id_mode = pkt->facts.outer_ip_id == tuoi_outer_ip_id(gro, item) ? TUOI_ID_CONSTANT : TUOI_ID_COUNTS;
    tuoi_item_append(gro->records, item, pkt->record, pkt->facts.payload_len, pkt->facts.ip_id);
    item->closed = (uint8_t)tuoi_closes_after(&pkt->facts, item->gso_size, 0);
    item->fast_len = tuoi_fast_len(item);
    tuoi_gro_offer(gro, position->lower, pkt->bytes + pkt->facts.shape.l4_off, pkt->facts.ip_version == 4);
    if (position->touches_upper && tuoi_gro_may_join(gro, item, &gro->items[position->upper]) == TUO_V_HELD) {
        tuoi_item_join(gro, item, &gro->items[position->upper]);
        gro->stats.joined_items++;
        if (*newest == position->upper) tuoi_gro_set_newest(gro, newest, position->lower);
    }
    return verdict;
}

/* A packet that was not appended, for the reason given: an item in its place, which the item above
   may join; or the first one of a new list. */
static tuo_verdict tuoi_gro_open(tuo_gro *gro, tuoi_packet *pkt, uint32_t *newest, const tuoi_position *position,
                                 tuo_verdict verdict) {
    const uint32_t added = gro->item_count;
    tuoi_item *const item = tuoi_item_fill(gro, pkt, added);
    int in_place = !pkt->facts.tunnel && tuoi_opens_in_place(&gro->desc, pkt->facts.shape.kind, verdict), joins = 0;
    if (in_place && position->touches_upper) {
        const tuo_verdict answer = tuoi_gro_may_join(gro, item, &gro->items[position->upper]);
        if (answer == TUO_V_BAD_IP_CSUM || answer == TUO_V_BAD_L4_CSUM) return answer;
        joins = answer == TUO_V_HELD;
        if (!position->touches_lower || joins) verdict = joins ? TUO_V_PREPENDED : answer;
        in_place = tuoi_opens_in_place(&gro->desc, pkt->facts.shape.kind, verdict);
    }
    gro->item_count++;
    if (in_place) tuoi_list_add(gro, gro->items[*newest].list, added, position);
    if (joins) tuoi_item_join(gro, item, &gro->items[position->upper]);
    tuoi_list_trim(gro, &gro->items[item->list]);
    if (item->newer == TUOI_NONE) tuoi_gro_set_newest(gro, newest, added);
    return verdict;
}

/* A candidate that found its flow. */
static TUOI_NOINLINE tuo_verdict tuoi_gro_try_join(tuo_gro *gro, tuoi_packet *pkt, const tuoi_slot *slot) {
    uint32_t *const newest = &slot->bucket->value[slot->way];
    const tuoi_position position = tuoi_gro_position(gro, *newest, pkt);
    tuo_verdict verdict = position.verdict;
    if (position.touches_lower) verdict = tuoi_gro_try_append(gro, pkt, newest, &position);
    if (verdict == TUO_V_APPENDED) return verdict;
    if (verdict != TUO_V_BAD_IP_CSUM && verdict != TUO_V_BAD_L4_CSUM)
        verdict = tuoi_gro_open(gro, pkt, newest, &position, verdict);
    if (verdict == TUO_V_BAD_IP_CSUM || verdict == TUO_V_BAD_L4_CSUM) tuoi_gro_close_flow(gro, slot);
    return verdict;
}

/* A candidate whose flow is not in the index: a new flow. */
TUOI_FORCE_INLINE void tuoi_gro_open_flow(tuo_gro *gro, const tuoi_packet *pkt, const tuoi_slot *slot) {
    const uint32_t way = tuoi_gro_choose_way(gro, slot->bucket), added = gro->item_count++;
    if (slot->bucket->tag[way] != 0) gro->items[slot->bucket->value[way]].fast_len = 0; /* closes that flow */
    tuoi_index_put(&gro->flows, slot->bucket, way, slot->tag, added);
    tuoi_item_fill(gro, pkt, added);
    tuoi_gro_offer(gro, added, pkt->bytes + pkt->facts.shape.l4_off, pkt->facts.ip_version == 4);
}

/* A classified packet. Calls get a copy of it, so that *pkt can live in registers. */
TUOI_FORCE_INLINE tuo_verdict tuoi_gro_settle(tuo_gro *gro, const tuoi_packet *pkt, tuo_verdict verdict) {
    if (verdict == TUO_V_HELD) verdict = tuoi_allowed(&gro->desc, &gro->switches, pkt->bytes, &pkt->facts);
    if (verdict == TUO_V_HELD) {
        const tuoi_slot slot = tuoi_gro_find(gro, pkt);
        if (slot.way < TUO_FLOW_WAYS) {
            tuoi_packet copy = *pkt;
            verdict = tuoi_gro_try_join(gro, &copy, &slot);
        } else {
            tuoi_gro_open_flow(gro, pkt, &slot);
        }
    } else if (gro->flows.live_count) {
        tuoi_packet copy; /* of the members that are read */
        copy.bytes = pkt->bytes;
        copy.record = pkt->record;
        copy.facts.shape.ip_off = pkt->facts.shape.ip_off;
        copy.facts.shape.l4_off = pkt->facts.shape.l4_off;
        copy.facts.total_len = pkt->facts.total_len;
        copy.facts.ip_version = pkt->facts.ip_version;
        copy.facts.l4_proto = pkt->facts.l4_proto;
        copy.facts.tunnel = pkt->facts.tunnel;
        tuoi_gro_close_behind(gro, verdict, &copy);
    }
    gro->stats.verdicts[verdict]++;
    return verdict;
}

static TUOI_NOINLINE tuo_verdict tuoi_gro_settle_any(tuo_gro *gro, const tuoi_packet *pkt, tuo_verdict verdict) {
    return tuoi_gro_settle(gro, pkt, verdict);
}

/* Offset of the inner IP header behind an outer UDP header; 0: the inner packet is not IP; TUOI_NONE:
   unknown. A plain packet has the 8 bytes of a tunnel header (tuoi_parse_plain). RFC 7348 5, RFC 8926 3.4. */
static uint32_t tuoi_tunnel_inner(const uint8_t *bytes, uint32_t len, uint32_t l4_off, int geneve) {
    const uint8_t *const header = bytes + l4_off + TUOI_UDP_LEN;
    uint32_t off = l4_off + TUOI_UDP_LEN + 8, type = TUOI_ETHERTYPE_ETHERNET;
    if (geneve ? (header[0] & 0xC0) || (header[1] & 0x80) : (header[0] & 0x0C) != 0x08)
        return TUOI_NONE; /* version, O; I without the P of draft-ietf-nvo3-vxlan-gpe */
    if (geneve) {
        off += (header[0] & 0x3Fu) * 4;
        type = tuoi_rd16(header + 2);
    }
    if (type == TUOI_ETHERTYPE_ETHERNET) {
        off += TUOI_ETH_LEN;
        if (len < off + TUOI_VLAN_LEN) return TUOI_NONE;
        type = tuoi_rd16(bytes + off - 2);
        if (type == TUOI_ETHERTYPE_VLAN) {
            off += TUOI_VLAN_LEN;
            type = tuoi_rd16(bytes + off - 2);
        }
    }
    if (type != TUOI_ETHERTYPE_IP4 && type != TUOI_ETHERTYPE_IP6) return 0;
    return off < len && bytes[off] >> 4 == (type == TUOI_ETHERTYPE_IP4 ? 4 : 6) ? off : TUOI_NONE;
}

/* Are the outer checksums right, if the inner one is? What an inner header's checksum covers then adds up
   to the complement of its pseudo-header, so no payload is read. A datagram without checksum has
   none to be wrong. All headers have even lengths. */
static tuo_verdict tuoi_tunnel_verify(const uint8_t *bytes, const tuoi_shape *outer, const tuoi_packet *pkt) {
    const tuoi_shape *const inner = &pkt->facts.shape;
    const uint32_t l4_len = inner->hdr_len - inner->l4_off + pkt->facts.payload_len;
    uint64_t raw;
    if (!tuoi_gro_ip_csum_ok(bytes, outer)) return TUO_V_BAD_IP_CSUM;
    if (tuoi_load16(bytes + outer->l4_off + TUOI_UDP_CSUM) == 0) return TUO_V_HELD;
    raw = tuoi_pseudo_raw(bytes, outer, inner->l4_off - outer->l4_off + l4_len);
    raw += (uint16_t)~tuoi_fold(tuoi_pseudo_raw(bytes, inner, l4_len));
    raw = tuoi_scalar(NULL, bytes + outer->l4_off, inner->l4_off - outer->l4_off, raw);
    return tuoi_fold(raw) == 0xFFFFu ? TUO_V_HELD : TUO_V_BAD_L4_CSUM;
}

/* The inner packet of a datagram becomes the packet: what is in front of its IP header belongs to its flow.
   verdict: of the inner packet alone. */
static tuo_verdict tuoi_tunnel_enter(const tuo_gro *gro, tuoi_packet *pkt, uint32_t inner_off) {
    const tuoi_facts outer = pkt->facts;
    tuoi_facts *const facts = &pkt->facts;
    const size_t len = pkt->len - inner_off;
    const tuo_verdict verdict = tuoi_classify(0, pkt->bytes + inner_off, len, facts, 0);
    if (facts->shape.l4_off) facts->shape.l4_off += inner_off;
    facts->shape.ip_off += inner_off;
    facts->shape.hdr_len += inner_off;
    facts->plain = 0;
    facts->tunnel = outer.shape.kind;
    facts->outer_df = outer.df;
    facts->outer_ip_id = outer.ip_id;
    if (verdict != TUO_V_HELD) return verdict;
    if (tuoi_is_ip4(outer.shape.kind) && tuoi_load16(pkt->bytes + outer.shape.ip_off + TUOI_IP4_CSUM) == 0xFFFFu)
        return TUO_V_CSUM_ALIAS;
    if (facts->shape.hdr_len > TUO_HEADER_MAX) return TUO_V_HEADER_TOO_LONG;
    if (outer.total_len > gro->desc.max_bytes) return TUO_V_TOO_LARGE;
    if (pkt->csum == TUOI_CSUM_RIGHT) return verdict;
    pkt->csum = TUOI_CSUM_UNKNOWN; /* a device's word was for the outer checksum */
    return tuoi_tunnel_verify(pkt->bytes, &outer.shape, pkt);
}

static int tuoi_has_port(const uint16_t *ports, uint32_t count, uint32_t port) {
    uint32_t i;
    for (i = 0; i < count; i++) {
        if (ports[i] == port) return 1;
    }
    return 0;
}

/* A TUN device takes no inner IP header this near to the outer UDP header, as in Geneve of bare IP (K 1.32). */
static int tuoi_tunnel_too_near(const tuo_gro_desc *desc, uint32_t distance) {
    return desc->tunnels_for_tun && distance < TUOI_ETH_LEN + TUOI_UDP_LEN;
}

/* A UDP packet, if tunnels are looked into. What cannot be looked into closes all tunnels between its two
   addresses: it may have packets of any flow. */
static TUOI_NOINLINE tuo_verdict tuoi_gro_push_udp(tuo_gro *gro, tuoi_packet *pkt, tuo_verdict verdict) {
    const uint32_t l4_off = pkt->facts.shape.l4_off, dst_port = tuoi_rd16(pkt->bytes + l4_off + 2);
    const int vxlan = tuoi_has_port(gro->desc.vxlan_ports, gro->desc.vxlan_port_count, dst_port);
    uint32_t inner_off = TUOI_NONE;
    if (!vxlan && !tuoi_has_port(gro->desc.geneve_ports, gro->desc.geneve_port_count, dst_port))
        return tuoi_gro_settle_any(gro, pkt, verdict);
    if (pkt->facts.plain && (verdict == TUO_V_HELD || verdict == TUO_V_UDP_ZERO_CSUM))
        inner_off = tuoi_tunnel_inner(pkt->bytes, (uint32_t)pkt->len, l4_off, !vxlan);
    if (inner_off == 0) return tuoi_gro_settle_any(gro, pkt, TUO_V_PROTOCOL);
    pkt->facts.plain = 0; /* the fast path cannot tell these packets apart */
    if (inner_off == TUOI_NONE) {
        if (gro->flows.live_count) tuoi_gro_set_barrier(gro, pkt);
    } else if (!tuoi_tunnel_too_near(&gro->desc, inner_off - l4_off)) {
        verdict = tuoi_tunnel_enter(gro, pkt, inner_off);
    }
    return tuoi_gro_settle_any(gro, pkt, verdict);
}

/* The last record, of any packet that has come this far. */
static TUOI_NOINLINE tuo_verdict tuoi_gro_push_other(tuo_gro *gro, const uint8_t *bytes, size_t len, uint32_t capacity,
                                                     uint8_t *collect, tuoi_csum csum) {
    const uint32_t ip_off = tuoi_plain_ip_off(gro);
    const int zero_ok = gro->desc.merge_zero_csum4;
    tuo_verdict verdict;
    tuoi_packet pkt;
    pkt.bytes = bytes;
    pkt.len = len;
    pkt.capacity = capacity;
    pkt.record = gro->record_count - 1;
    pkt.more_pieces = 0;
    pkt.collect = collect;
    pkt.csum = csum;
    if (capacity == TUOI_IN_PIECES) {
        const tuo_iov *const pieces = &gro->records[gro->record_count].iov[1];
        pkt.capacity = TUOI_GATHERED;
        pkt.more_pieces = (uint32_t)pieces->len - 1;
        if (csum == TUOI_CSUM_UNKNOWN) pkt.csum = TUOI_CSUM_PIECES;
        verdict = tuoi_classify_in_pieces(ip_off, bytes, ((const tuo_iov *)pieces->base)->len, len, &pkt.facts,
                                          zero_ok);
    } else {
        verdict = tuoi_classify(ip_off, bytes, len, &pkt.facts, zero_ok);
    }
    if (gro->tunnels && pkt.facts.l4_proto == TUOI_PROTO_UDP &&
        (pkt.facts.shape.kind != TUO_KIND_NONE || (verdict == TUO_V_UDP_LENGTH && tuoi_ports_known(&pkt.facts))))
        return tuoi_gro_push_udp(gro, &pkt, verdict);
    return tuoi_gro_settle_any(gro, &pkt, verdict);
}

static int tuoi_is_short(tuo_verdict verdict) {
    return verdict == TUO_V_TRUNCATED || verdict == TUO_V_IP_HEADER || verdict == TUO_V_IP_LENGTH;
}

/* Of a packet that is too short: does its IP header promise up to offset bytes more? Then its length may
   be one that forgot the headroom. A packet that came truncated looks the same, so this is counted,
   and nothing is asserted. */
static int tuoi_headroom_short(const uint8_t *bytes, size_t len, size_t offset, unsigned flags) {
    size_t total = 0;
    tuo_pkt_info info;
    (void)tuoi_parse(bytes, len, flags, &info);
    if ((flags & TUO_F_ETHERNET) && info.ip_off == 0) return 0;
    bytes += info.ip_off;
    len -= info.ip_off;
    if (len >= TUOI_IP4_TOTAL + 2 && bytes[0] >> 4 == 4) total = tuoi_rd16(bytes + TUOI_IP4_TOTAL);
    if (len >= TUOI_IP6_PAYLOAD + 2 && bytes[0] >> 4 == 6)
        total = TUOI_IP6_LEN + (size_t)tuoi_rd16(bytes + TUOI_IP6_PAYLOAD);
    return total > len && total - len <= offset;
}

static TUOI_NOINLINE void tuoi_gro_count_short(tuo_gro *gro, const tuoi_packet *pkt, size_t offset) {
    const unsigned flags = gro->desc.ethernet ? (unsigned)TUO_F_ETHERNET : 0u;
    if (tuoi_headroom_short(pkt->bytes, pkt->len, offset, flags)) gro->stats.headroom_short++;
}

/* What is known about the checksums of a packet with this hint. */
TUOI_FORCE_INLINE tuoi_csum tuoi_csum_hinted(const tuo_gro *gro, unsigned hint) {
    const unsigned all = hint | gro->hint;
    if (all == 0) return TUOI_CSUM_UNKNOWN;
    if (all & TUO_F_TRUST) return TUOI_CSUM_RIGHT;
    return all & TUO_F_TRUST_L4 ? TUOI_CSUM_L4_RIGHT : TUOI_CSUM_UNKNOWN;
}

/* Before count packets are pushed: for how many is there room? */
TUOI_FORCE_INLINE size_t tuoi_gro_room(tuo_gro *gro, size_t count) {
    size_t room;
    if (gro->drained) tuoi_gro_clear(gro);
    gro->flows_open = 1;
    room = gro->desc.max_packets - gro->record_count;
    if (count <= room) return count;
    gro->stats.verdicts[TUO_V_NO_ROOM]++;
    return room;
}

TUOI_FORCE_INLINE void tuoi_record_fill(tuoi_record *record, const void *bytes, size_t len, void *user) {
    record->iov[1].base = bytes;
    record->iov[1].len = len;
    record->user = user;
    record->next = record->list = TUOI_NONE;
}

/* Takes a packet; there is room for its record. pkt->record and pkt->facts are not filled yet. */
TUOI_FORCE_INLINE tuo_verdict tuoi_gro_take(tuo_gro *gro, tuoi_packet *pkt, void *user) {
    tuoi_record_fill(&gro->records[gro->record_count], pkt->bytes, pkt->len, user);
    pkt->record = gro->record_count++;
    gro->stats.bytes_in += pkt->len;
    if (gro->flows.live_count && tuoi_gro_fast(gro, pkt)) {
        gro->fast_count++;
        return TUO_V_APPENDED;
    }
    if (gro->plain_ip4 && tuoi_parse_plain(pkt->bytes, pkt->len, 0, 1, &pkt->facts))
        return tuoi_gro_settle(gro, pkt, tuoi_classify_l4(pkt->bytes, &pkt->facts, gro->desc.merge_zero_csum4));
    return tuoi_gro_push_other(gro, pkt->bytes, pkt->len, pkt->capacity, pkt->collect, pkt->csum);
}

/* A packet without a buffer. */
TUOI_FORCE_INLINE tuo_verdict tuoi_gro_take_gathered(tuo_gro *gro, const void *bytes, size_t len, void *user,
                                                     tuoi_csum csum) {
    tuoi_packet pkt;
    pkt.bytes = (const uint8_t *)bytes;
    pkt.len = len;
    pkt.capacity = TUOI_GATHERED;
    pkt.more_pieces = 0;
    pkt.collect = NULL;
    pkt.csum = csum;
    return tuoi_gro_take(gro, &pkt, user);
}

TUO_API tuo_verdict tuo_gro_push(tuo_gro *gro, const void *pkt, size_t len, void *user, unsigned hint) {
    TUO_ASSERT(gro != NULL && (pkt != NULL || len == 0));
    if (tuoi_gro_room(gro, 1) == 0) return TUO_V_NO_ROOM;
    gro->borrowed = 1;
    return tuoi_gro_take_gathered(gro, pkt, len, user, tuoi_csum_hinted(gro, hint));
}

/* Bytes of all pieces; above TUOI_PIECES_LEN_MAX: they are too many, or the pieces are. */
enum { TUOI_PIECES_LEN_MAX = 0x7FFFFFFF };
static size_t tuoi_gro_pieces_len(const tuo_gro *gro, const tuo_iov *iov, size_t iov_count) {
    size_t i, len = 0;
    if (iov_count == 0 || iov_count > gro->desc.max_packets || iov_count > gro->desc.max_frags)
        return (size_t)TUOI_PIECES_LEN_MAX + 1;
    for (i = 0; i < iov_count; i++) {
        if (iov[i].len > TUOI_PIECES_LEN_MAX - len) return (size_t)TUOI_PIECES_LEN_MAX + 1;
        len += iov[i].len;
    }
    return len;
}

TUO_API tuo_verdict tuo_gro_push_iov(tuo_gro *gro, const tuo_iov *iov, size_t iov_count, void *user, unsigned hint) {
    const size_t len = tuoi_gro_pieces_len(gro, iov, iov_count);
    tuoi_record *record;
    tuo_verdict verdict;
    size_t i;
    if (len > TUOI_PIECES_LEN_MAX) {
        gro->stats.verdicts[TUO_V_PIECES]++;
        return TUO_V_PIECES;
    }
    if (len == iov->len) return tuo_gro_push(gro, iov->base, len, user, hint);
    if (tuoi_gro_room(gro, iov_count) < iov_count) return TUO_V_NO_ROOM;
    gro->borrowed = 1;
    gro->special |= TUOI_PIECES_PUSHED;
    record = &gro->records[gro->record_count++];
    for (i = 1; i < iov_count; i++) {
        record[i].next = TUOI_PIECE;
        record[i].list = TUOI_ABSORBED;
    }
    tuoi_record_fill(record, iov->base, len, user);
    record[1].iov[1].base = iov;
    record[1].iov[1].len = iov_count;
    gro->stats.bytes_in += len;
    verdict = tuoi_gro_push_other(gro, (const uint8_t *)iov->base, len, TUOI_IN_PIECES, NULL,
                                  tuoi_csum_hinted(gro, hint));
    gro->record_count += (uint32_t)iov_count - 1;
    return verdict;
}

/* Packets ahead whose headers are on their way to the cache. */
enum { TUOI_AHEAD = 16 };

TUO_API size_t tuo_gro_push_batch(tuo_gro *gro, const tuo_packet *packets, size_t count, unsigned hint,
                                  tuo_verdict *verdicts) {
    const size_t taken = tuoi_gro_room(gro, count), ahead_count = taken > TUOI_AHEAD ? taken - TUOI_AHEAD : 0;
    const tuoi_csum csum = tuoi_csum_hinted(gro, hint);
    size_t i;
    if (taken) gro->borrowed = 1;
    for (i = 0; i < taken && i < TUOI_AHEAD; i++) TUOI_PREFETCH(packets[i].bytes);
    for (i = 0; i < taken; i++) {
        tuo_verdict verdict;
        if (i < ahead_count) TUOI_PREFETCH(packets[i + TUOI_AHEAD].bytes);
        verdict = tuoi_gro_take_gathered(gro, packets[i].bytes, packets[i].len, packets[i].user, csum);
        if (verdicts) verdicts[i] = verdict;
    }
    return taken;
}

/* --- draining --- */

/* The next record at whose position something leaves, or NULL. */
TUOI_FORCE_INLINE tuoi_record *tuoi_gro_next_place(tuo_gro *gro) {
    const uint32_t count = gro->record_count;
    tuoi_record *const record = &gro->records[gro->emit_idx], *next = record;
    if (gro->emit_idx == count) {
        gro->drained = 1;
        return NULL;
    }
    /* never stands on an absorbed record: what is behind it then is still held */
    while (++gro->emit_idx < count && (++next)->list == TUOI_ABSORBED) {}
    return record;
}

/* What leaves next: the record of its first packet, or NULL. *item: the item, if it has several
   packets; or NULL. */
TUOI_FORCE_INLINE tuoi_record *tuoi_gro_leave(tuo_gro *gro, tuoi_item **item) {
    tuoi_record *place;
    tuoi_item *leaves;
    *item = NULL;
    tuoi_gro_close_flows(gro);
    if (gro->leftover != TUOI_NONE) {
        place = &gro->records[gro->leftover];
        gro->leftover = place->next;
        return place;
    }
    place = tuoi_gro_next_place(gro);
    if (place == NULL || place->list == TUOI_NONE) return place;
    leaves = &gro->items[gro->items[place->list].leaves];
    gro->items[place->list].leaves = leaves->newer;
    if (leaves->seg_count > 1) *item = leaves;
    return &gro->records[leaves->head];
}

/* The headers around a superpacket in a tunnel, whose own are finished. */
static TUOI_NOINLINE void tuoi_gro_account_outer(const tuo_gro *gro, uint8_t *hdr, const tuoi_item *item,
                                                 tuo_vnet_hdr *vnet) {
    const uint32_t end = item->shape.hdr_len + item->payload_len;
    tuoi_shape outer;
    outer.ip_off = gro->plain_ip_off;
    outer.l4_off = tuoi_outer_l4_off(gro, item->tunnel);
    outer.hdr_len = outer.l4_off + TUOI_UDP_LEN;
    outer.kind = item->tunnel;
    tuoi_account_lengths(hdr, &outer, end - outer.hdr_len);
    vnet->gso_type = (uint8_t)(vnet->gso_type | tuoi_kinds[item->tunnel].tunnel_type);
    vnet->outer_th_offset = (uint16_t)(outer.l4_off + (gro->desc.tunnels_for_tun ? TUOI_ETH_LEN : 0));
    vnet->inner_nh_offset = (uint16_t)item->shape.ip_off;
    if (tuoi_load16(hdr + outer.l4_off + TUOI_UDP_CSUM) == 0) return;
    vnet->flags = (uint8_t)(vnet->flags | TUO_VNET_UDP_TUNNEL_CSUM);
    tuoi_wr16(hdr + outer.l4_off + TUOI_UDP_CSUM, tuoi_fold(tuoi_pseudo(hdr, &outer, end - outer.l4_off)));
}

/* FIN and PSH of the superpacket are those of its last segment (K 4.11, 4.14); all other header
   bytes are those of the first. */
static void tuoi_gro_account(const tuo_gro *gro, uint8_t *hdr, const tuoi_item *item, tuo_vnet_hdr *vnet) {
    if (tuoi_is_tcp(item->shape.kind)) {
        const uint32_t flags_off = item->shape.l4_off + TUOI_TCP_FLAGS;
        const uint8_t *const last = (const uint8_t *)gro->records[item->tail].iov[1].base;
        hdr[flags_off] =
            (uint8_t)((hdr[flags_off] & ~(unsigned)(TUOI_FIN | TUOI_PSH)) | (last[flags_off] & (TUOI_FIN | TUOI_PSH)));
    }
    tuoi_account(hdr, &item->shape, item->payload_len, item->gso_size, vnet);
    if (item->tunnel) tuoi_gro_account_outer(gro, hdr, item, vnet);
}

/* desc.finish_checksum. No payload is read: with its pseudo-header and TCP header each one adds up to
   0xffff, so their sum is what those of all segments lack. Behind an odd number of bytes the two
   bytes of a sum change places (RFC 1071 2(B)), as if multiplied by 256. The headers of the first
   segment are in hdr: its buffer may have moved. */
static void tuoi_gro_account_finished(const tuo_gro *gro, uint8_t *hdr, const tuoi_item *item, tuo_vnet_hdr *vnet) {
    const tuoi_shape *const shape = &item->shape;
    const uint32_t odd = item->gso_size & 1;
    uint64_t headers = 0;
    uint32_t i, at = item->head;
    for (i = 0; i < item->seg_count; i++) {
        const tuo_iov *const packet = &gro->records[at].iov[1];
        const uint32_t payload_len = (uint32_t)packet->len - shape->hdr_len;
        const uint64_t sum = tuoi_headers_sum(i ? (const uint8_t *)packet->base : hdr, shape, payload_len);
        headers += sum << (i & odd) * 8;
        at = gro->records[at].next;
    }
    tuoi_gro_account(gro, hdr, item, vnet);
    tuoi_account_finish(hdr, shape, (uint16_t)~tuoi_fold(headers), vnet);
}

/* The headers of a superpacket, in hdr, which has those of its first segment. */
static void tuoi_gro_write_headers(const tuo_gro *gro, uint8_t *hdr, const tuoi_item *item, tuo_vnet_hdr *vnet) {
    if (gro->desc.finish_checksum) {
        tuoi_gro_account_finished(gro, hdr, item, vnet);
    } else {
        tuoi_gro_account(gro, hdr, item, vnet);
    }
    vnet->num_buffers = gro->desc.virtio_guest != 0; /* virtio 1.3 5.1.6.4 */
}

/* Everything in *sp but vnet. */
TUOI_FORCE_INLINE void tuoi_gro_describe(tuo_superpacket *sp, const tuo_iov *iov, size_t iov_count, size_t len,
                                         size_t vnet_len, void *const *users, size_t packet_count) {
    sp->iov = iov;
    sp->iov_count = iov_count;
    sp->len = len;
    sp->vnet_len = vnet_len;
    sp->users = users;
    sp->packet_count = packet_count;
}

TUOI_FORCE_INLINE void tuoi_gro_count_out(tuo_gro *gro, size_t len) {
    gro->stats.packets_out++;
    gro->stats.bytes_out += len;
}

/* 1: the packet is in pieces, which the next record has. */
TUOI_FORCE_INLINE int tuoi_gro_in_pieces(const tuo_gro *gro, const tuoi_record *record) {
    return record + 1 < gro->records + gro->record_count && record[1].next == TUOI_PIECE;
}

/* Lists what is behind the first skip bytes of a packet, and of those that follow it in its item. Returns
   the number of iovecs; empty pieces have none. */
static TUOI_NOINLINE uint32_t tuoi_gro_list_pieces(const tuo_gro *gro, const tuoi_record *record, uint32_t skip,
                                                   tuo_iov *iov) {
    uint32_t listed = 0;
    for (;;) {
        const int in_pieces = tuoi_gro_in_pieces(gro, record);
        const tuo_iov *const pieces = in_pieces ? (const tuo_iov *)record[1].iov[1].base : &record->iov[1];
        const size_t count = in_pieces ? record[1].iov[1].len : 1;
        size_t i;
        for (i = 0; i < count; i++) {
            const uint32_t off = i ? 0 : skip;
            if (pieces[i].len == off) continue;
            iov[listed].base = (const uint8_t *)pieces[i].base + off;
            iov[listed++].len = pieces[i].len - off;
        }
        if (record->next == TUOI_NONE) return listed;
        record = &gro->records[record->next];
    }
}

/* The users of an item's packets, in segment order; with iov, also their payloads. */
TUOI_FORCE_INLINE void *const *tuoi_gro_list_chain(tuo_gro *gro, const tuoi_item *item, tuo_iov *iov) {
    void **const users = &gro->users[gro->user_count];
    const uint32_t hdr_len = item->shape.hdr_len, count = item->seg_count;
    const tuoi_record *const records = gro->records;
    uint32_t i, at = item->head;
    for (i = 0; i < count; i++) {
        const tuoi_record *const record = &records[at];
        if (iov) {
            iov[i].base = (const uint8_t *)record->iov[1].base + hdr_len;
            iov[i].len = record->iov[1].len - hdr_len;
        }
        users[i] = record->user;
        at = record->next;
    }
    gro->user_count += count;
    return users;
}

/* A superpacket in pieces: its new headers, then the payload of each packet. */
static TUOI_NOINLINE void tuoi_gro_emit_item(tuo_gro *gro, const tuoi_item *item, tuo_superpacket *sp) {
    const uint32_t hdr_len = item->shape.hdr_len, vnet_len = gro->vnet_len;
    uint8_t *const hdr = sp->tuoi_head + vnet_len;
    tuo_iov *const iov = &gro->iovs[gro->iov_count];
    const size_t len = (size_t)vnet_len + hdr_len + item->payload_len;
    uint32_t iov_count = 1 + item->seg_count;
    TUO_MEMCPY(hdr, item->bytes, hdr_len);
    tuoi_gro_write_headers(gro, hdr, item, &sp->vnet);
    tuoi_vnet_write(sp->tuoi_head, vnet_len, gro->desc.vnet_order, &sp->vnet);
    iov->base = sp->tuoi_head;
    iov->len = vnet_len + hdr_len;
    tuoi_gro_describe(sp, iov, iov_count, len, vnet_len, tuoi_gro_list_chain(gro, item, iov + 1), item->seg_count);
    if (gro->special & TUOI_PIECES_PUSHED)
        sp->iov_count = iov_count = 1 + tuoi_gro_list_pieces(gro, &gro->records[item->head], hdr_len, iov + 1);
    gro->iov_count += iov_count;
    tuoi_gro_count_out(gro, len - vnet_len);
    gro->stats.superpackets++;
    gro->stats.merged_packets += item->seg_count;
}

/* For a packet that leaves as it came, and has been described: num_buffers, and its pieces. */
static TUOI_NOINLINE void tuoi_gro_emit_special(tuo_gro *gro, tuo_superpacket *sp) {
    const uint32_t vnet_len = gro->vnet_len;
    const tuoi_record *const record = (const tuoi_record *)(const void *)(vnet_len ? sp->iov : sp->iov - 1);
    if (gro->special & TUOI_VIRTIO_GUEST) {
        sp->vnet.num_buffers = 1;
        tuoi_vnet_write(sp->tuoi_head, vnet_len, gro->desc.vnet_order, &sp->vnet);
    }
    if (tuoi_gro_in_pieces(gro, record)) {
        tuo_iov *const iov = &gro->iovs[gro->iov_count];
        uint32_t iov_count = vnet_len != 0;
        iov[0] = record->iov[0];
        iov_count += tuoi_gro_list_pieces(gro, record, 0, iov + iov_count);
        gro->iov_count += iov_count;
        sp->iov = iov;
        sp->iov_count = iov_count;
    }
}

/* A packet that leaves as it came. */
TUOI_FORCE_INLINE void tuoi_gro_emit_single(tuo_gro *gro, tuoi_record *record, tuo_superpacket *sp) {
    const uint32_t vnet_len = gro->vnet_len;
    TUO_MEMSET(&sp->vnet, 0, sizeof sp->vnet);
    TUO_MEMSET(sp->tuoi_head, 0, TUO_VNET_LEN_MAX);
    record->iov[0].base = sp->tuoi_head;
    record->iov[0].len = vnet_len;
    tuoi_gro_describe(sp, vnet_len ? record->iov : &record->iov[1], vnet_len ? 2 : 1, vnet_len + record->iov[1].len,
                      vnet_len, &record->user, 1);
    tuoi_gro_count_out(gro, record->iov[1].len);
    if (gro->special) tuoi_gro_emit_special(gro, sp);
}

/* 0: nothing is held. */
TUOI_FORCE_INLINE int tuoi_gro_next(tuo_gro *gro, tuo_superpacket *sp) {
    tuoi_item *item;
    tuoi_record *const record = tuoi_gro_leave(gro, &item);
    if (record == NULL) return 0;
    if (item) {
        tuoi_gro_emit_item(gro, item, sp);
    } else {
        tuoi_gro_emit_single(gro, record, sp);
    }
    return 1;
}

TUO_API tuo_result tuo_gro_next(tuo_gro *gro, tuo_superpacket *sp) {
    return tuoi_gro_next(gro, sp) ? TUO_OK : TUO_DONE;
}

TUO_API size_t tuo_gro_next_batch(tuo_gro *gro, tuo_superpacket *sps, size_t count) {
    size_t i = 0;
    while (i < count && tuoi_gro_next(gro, &sps[i])) i++;
    return i;
}

/* --- by copy --- */

/* A packet in a buffer; there is room for its record. */
TUOI_FORCE_INLINE tuo_verdict tuoi_gro_take_buf(tuo_gro *gro, const tuo_buf_ops *ops, void *buf, size_t offset,
                                                tuoi_csum csum) {
    static const uint8_t nothing[1] = { 0 };
    const size_t len = tuoi_ops_len(ops, buf), capacity = tuoi_ops_capacity(ops, buf);
    const size_t room = capacity > offset ? capacity - offset : 0;
    tuoi_packet pkt;
    tuo_verdict verdict;
    pkt.bytes = nothing;
    pkt.len = 0;
    pkt.more_pieces = 0;
    pkt.collect = NULL;
    if (len > offset) {
        uint8_t *const bytes = tuoi_ops_data(ops, buf) + offset;
        pkt.bytes = bytes;
        pkt.len = len - offset;
        if (ops == &tuoi_plain_ops) pkt.collect = bytes;
    }
    pkt.capacity = room < TUOI_IN_PIECES ? (uint32_t)room : TUOI_IN_PIECES - 1;
    pkt.csum = csum;
    verdict = tuoi_gro_take(gro, &pkt, buf);
    if (tuoi_is_short(verdict)) tuoi_gro_count_short(gro, &pkt, offset);
    return verdict;
}

/* For a packet whose turn comes soon. There may be no memory behind offset. */
TUOI_FORCE_INLINE void tuoi_buf_fetch(const tuo_buf *buf, size_t offset) {
    if (buf->len > offset) TUOI_PREFETCH(buf->data + offset);
}

/* The verdict on the last of count packets, for which there is room. */
static TUOI_NOINLINE tuo_verdict tuoi_gro_push_bufs(tuo_gro *gro, const tuo_buf_ops *ops, void *const *bufs,
                                                    size_t count, size_t offset, tuoi_csum csum) {
    const size_t ahead_count = ops == &tuoi_plain_ops && count > TUOI_AHEAD ? count - TUOI_AHEAD : 0;
    tuo_verdict verdict = TUO_V_NO_ROOM;
    size_t i;
    for (i = 0; i < count; i++) {
        if (i < ahead_count) tuoi_buf_fetch((const tuo_buf *)bufs[i + TUOI_AHEAD], offset);
        verdict = tuoi_gro_take_buf(gro, ops, bufs[i], offset, csum);
    }
    return verdict;
}

TUO_API tuo_verdict tuo_gro_push_buf(tuo_gro *gro, const tuo_buf_ops *ops, void *buf, size_t offset, unsigned hint) {
    const size_t room = tuoi_gro_room(gro, 1);
    return tuoi_gro_push_bufs(gro, ops ? ops : &tuoi_plain_ops, &buf, room, offset, tuoi_csum_hinted(gro, hint));
}

/* Payloads into the head's buffer, if they are not there already. If a callback fails, the item
   ends in front of that packet, and the rest is left over. */
static void tuoi_gro_append_all(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset, tuoi_item *item) {
    const tuoi_record *const head = &gro->records[item->head];
    const uint32_t hdr_len = item->shape.hdr_len;
    uint32_t at;
    if (item->collect && tuoi_ops_resize(ops, head->user, offset + hdr_len + item->payload_len) == 0) return;
    item->tail = item->head;
    item->payload_len = (uint32_t)head->iov[1].len - hdr_len; /* items have packets of at most 65535 bytes */
    item->seg_count = 1;
    for (at = head->next; at != TUOI_NONE; at = gro->records[at].next) {
        const tuo_iov *const packet = &gro->records[at].iov[1];
        if (ops->append(ops->user, head->user, (const uint8_t *)packet->base + hdr_len, packet->len - hdr_len) != 0) {
            gro->stats.append_failures++;
            gro->leftover = at;
            return;
        }
        item->tail = at;
        item->payload_len += (uint32_t)packet->len - hdr_len;
        item->seg_count++;
    }
}

/* *whole: a packet in its buffer, and its vnet header in front. Returns where the header goes, or NULL:
   the buffer is shorter than its headroom, so there is no packet and no place for a header. */
TUOI_FORCE_INLINE uint8_t *tuoi_gro_whole(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset, size_t vnet_len,
                                          const tuoi_record *record, tuo_iov *whole) {
    uint8_t *const data = tuoi_ops_data(ops, record->user);
    const size_t len = tuoi_ops_len(ops, record->user);
    whole->base = data;
    whole->len = 0;
    gro->stats.packets_out++;
    if (!data || len < offset) return NULL;
    whole->base = data + offset - vnet_len;
    whole->len = len - offset + vnet_len;
    gro->stats.bytes_out += len - offset;
    return data + offset - vnet_len;
}

/* Completes a packet that leaves as it came, with a vnet header that says nothing. */
TUOI_FORCE_INLINE void tuoi_gro_complete_single(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset, size_t vnet_len,
                                                const tuoi_record *record, tuo_iov *whole) {
    uint8_t *const start = tuoi_gro_whole(gro, ops, offset, vnet_len, record, whole);
    if (start) tuoi_vnet_clear(start, vnet_len);
    if (start && gro->desc.virtio_guest && vnet_len >= TUO_VNET_LEN_V1)
        tuoi_wr16_in(start + 10, tuoi_order_is_big(gro->desc.vnet_order), 1);
}

/* Completes a superpacket in the buffer of its first packet. 0: a callback failed at once, so that the
   first packet leaves alone. */
static TUOI_NOINLINE int tuoi_gro_complete_item(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset, size_t vnet_len,
                                                tuoi_item *item, tuo_iov *whole, tuo_vnet_hdr *vnet) {
    uint8_t *start;
    tuoi_gro_append_all(gro, ops, offset, item);
    if (item->seg_count == 1) return 0;
    start = tuoi_gro_whole(gro, ops, offset, vnet_len, &gro->records[item->head], whole);
    tuoi_gro_write_headers(gro, start + vnet_len, item, vnet);
    tuoi_vnet_write(start, vnet_len, gro->desc.vnet_order, vnet);
    gro->stats.superpackets++;
    gro->stats.merged_packets += item->seg_count;
    return 1;
}

TUO_API tuo_result tuo_gro_next_copy(tuo_gro *gro, const tuo_buf_ops *ops, size_t offset, tuo_superpacket *sp) {
    const tuo_buf_ops *const o = ops ? ops : &tuoi_plain_ops;
    const size_t vnet_len = offset < gro->vnet_len ? 0 : gro->vnet_len;
    tuoi_item *item;
    tuoi_record *record;
    if (gro->borrowed && tuoi_gro_holds(gro)) return TUO_E_INVALID;
    record = tuoi_gro_leave(gro, &item);
    if (record == NULL) return TUO_DONE;
    if (item && tuoi_gro_complete_item(gro, o, offset, vnet_len, item, record->iov, &sp->vnet)) {
        tuoi_gro_describe(sp, record->iov, 1, record->iov[0].len, vnet_len, tuoi_gro_list_chain(gro, item, NULL),
                          item->seg_count);
        return TUO_OK;
    }
    tuoi_gro_complete_single(gro, o, offset, vnet_len, record, record->iov);
    TUO_MEMSET(&sp->vnet, 0, sizeof sp->vnet);
    sp->vnet.num_buffers = gro->desc.virtio_guest != 0;
    tuoi_gro_describe(sp, record->iov, 1, record->iov[0].len, record->iov[0].len ? vnet_len : 0, &record->user, 1);
    return TUO_OK;
}

TUO_API tuo_result tuo_gro_batch(tuo_gro *gro, const tuo_buf_ops *ops, void *const *bufs, size_t count, size_t offset,
                                 size_t *to_write, size_t *to_write_count) {
    const tuo_buf_ops *const o = ops ? ops : &tuoi_plain_ops;
    const tuoi_csum csum = tuoi_csum_hinted(gro, 0);
    const size_t vnet_len = gro->vnet_len;
    size_t first, taken, written = 0;
    tuoi_record *record;
    tuoi_item *item;
    tuo_iov unread;
    tuo_vnet_hdr vnet;
    if (gro->desc.no_vnet_hdr && !gro->desc.finish_checksum) return TUO_E_INVALID;
    if (tuoi_gro_holds(gro) || offset < vnet_len) return TUO_E_INVALID;
    tuo_gro_reset(gro); /* so that record numbers are positions in the batch */
    for (first = 0; first < count; first += taken) {
        taken = tuoi_gro_room(gro, count - first);
        (void)tuoi_gro_push_bufs(gro, o, bufs + first, taken, offset, csum);
        while ((record = tuoi_gro_leave(gro, &item)) != NULL) {
            if (!item || !tuoi_gro_complete_item(gro, o, offset, vnet_len, item, record->iov, &vnet))
                tuoi_gro_complete_single(gro, o, offset, vnet_len, record, &unread);
            to_write[written++] = first + (size_t)(record - gro->records);
        }
    }
    *to_write_count = written;
    return TUO_OK;
}

TUO_API tuo_verdict tuo_gro_candidate(const void *pkt, size_t len, unsigned flags) {
    tuoi_facts facts;
    const tuo_verdict verdict =
        tuoi_classify(flags & TUO_F_ETHERNET ? TUOI_ETH_LEN : 0, (const uint8_t *)pkt, len, &facts, 0);
    return verdict == TUO_V_HELD && facts.total_len > 0xFFFFu ? TUO_V_TOO_LARGE : verdict;
}

/* ---------------------------------------------------------------------------------------- >>gso */
/* Plan once (init): the header template of a segment of full length, and the sums of everything
   that all of these share. Write per segment: ID, sequence number, flags and checksums, and the
   lengths if it is a short one, which only the last can be. Contract: K 6, K 9 S1-S4. Every field
   that differs between segments of full length is written every time, so it never matters what one
   of them has left in the template. */

/* A raw sum of up to some dozen words, as all sums of the plan. */
static uint32_t tuoi_raw_sum(const uint8_t *p, size_t len) { return tuoi_fold(tuoi_scalar(NULL, p, len, 0)); }

/* The L4 header without what differs per segment: sequence number and flags of TCP, and the
   checksum. */
static uint32_t tuoi_gso_l4_shared_sum(const uint8_t *l4, uint32_t l4_hdr_len, int tcp) {
    if (!tcp) return tuoi_raw_sum(l4, TUOI_UDP_CSUM);
    return tuoi_raw_sum(l4, TUOI_TCP_SEQ) + tuoi_raw_sum(l4 + TUOI_TCP_ACK, 4) +
           tuoi_big16((uint32_t)l4[TUOI_TCP_DOFF] << 8) + tuoi_raw_sum(l4 + TUOI_TCP_WINDOW, 2) +
           tuoi_raw_sum(l4 + TUOI_TCP_URGENT, l4_hdr_len - TUOI_TCP_URGENT);
}

static uint32_t tuoi_gso_ip4_shared_sum(const uint8_t *ip, uint32_t ip_hdr_len) {
    return tuoi_raw_sum(ip, TUOI_IP4_ID) + tuoi_raw_sum(ip + TUOI_IP4_FRAG, TUOI_IP4_CSUM - TUOI_IP4_FRAG) +
           tuoi_raw_sum(ip + TUOI_IP4_SRC, ip_hdr_len - TUOI_IP4_SRC);
}

/* Pseudo-header sum without the length. Of a partial checksum it is the seed, less the length that
   it includes (K 6.10): a seed made before an address was damaged must stay wrong (P2), and one may
   be for other addresses than the IP header's (source routes, RFC 8200 8.1, RFC 6275 11.3.1). */
static uint32_t tuoi_gso_pseudo_sum(const uint8_t *hdr, const tuo_pkt_info *info, int partial) {
    const tuoi_shape shape = tuoi_shape_of(info);
    const uint8_t *const l4 = hdr + info->l4_off;
    const uint32_t stated_len = tuoi_is_tcp(info->kind) ? 0 : tuoi_rd16(l4 + TUOI_UDP_TOTAL); /* K 1.17 */
    const uint32_t l4_len = stated_len ? stated_len : info->l4_hdr_len + info->payload_len;
    const uint32_t seed = tuoi_rd16(l4 + tuoi_kinds[info->kind].l4_csum_off);
    return partial ? tuoi_fold32(seed + (uint16_t)~tuoi_fold32(l4_len)) : tuoi_fold32(tuoi_pseudo(hdr, &shape, 0));
}

static void tuoi_gso_plan_whole(tuo_gso *gso, size_t len, const tuo_vnet_hdr *vnet) {
    gso->tuoi_kind = TUO_KIND_NONE;
    gso->tuoi_pkt_len = len;
    gso->tuoi_seg_count = 1;
    gso->tuoi_fill_csum = (vnet->flags & TUO_VNET_NEEDS_CSUM) && !gso->tuoi_pseudo;
    gso->tuoi_csum_start = vnet->csum_start;
    gso->tuoi_csum_offset = vnet->csum_offset;
}

static void tuoi_gso_write_lengths_of(uint8_t *hdr, unsigned kind, uint32_t ip_off, uint32_t l4_off, uint32_t end) {
    if (tuoi_is_ip4(kind)) {
        tuoi_wr16(hdr + ip_off + TUOI_IP4_TOTAL, end - ip_off);
    } else {
        tuoi_wr16(hdr + ip_off + TUOI_IP6_PAYLOAD, end - ip_off - TUOI_IP6_LEN);
    }
    if (!tuoi_is_tcp(kind)) tuoi_wr16(hdr + l4_off + TUOI_UDP_TOTAL, end - l4_off);
}

/* Length fields for a segment of len payload bytes; the plan has bounded what they hold to
   65535. */
static void tuoi_gso_write_lengths(const tuo_gso *gso, uint8_t *hdr, uint32_t len) {
    const uint32_t end = gso->tuoi_hdr_len + len;
    tuoi_gso_write_lengths_of(hdr, gso->tuoi_kind, gso->tuoi_ip_off, gso->tuoi_l4_off, end);
    if (gso->tuoi_outer_kind != TUO_KIND_NONE)
        tuoi_gso_write_lengths_of(hdr, gso->tuoi_outer_kind, gso->tuoi_outer_ip_off, gso->tuoi_outer_l4_off, end);
}

/* The outer UDP checksum of a segment of len payload bytes, whose lengths are written. No pass over
   the payload: a right IPv4 header adds up to 0, and what the inner checksum covers adds up to the
   complement of its pseudo-header (linux lco_csum). So all full segments have the same one. Moved by
   an odd number of bytes, each byte counts 256-fold (RFC 1071 2(B)). */
static void tuoi_gso_write_outer_csum(const tuo_gso *gso, uint8_t *hdr, uint32_t len) {
    uint8_t *const udp = hdr + gso->tuoi_outer_l4_off;
    const uint32_t inner_off = gso->tuoi_ip_off - gso->tuoi_outer_l4_off, missing_len = gso->tuoi_gso_size - len;
    uint32_t inner = (uint16_t)~tuoi_fold32(gso->tuoi_pseudo_raw + tuoi_big16(~missing_len));
    uint64_t raw = (uint64_t)gso->tuoi_outer_pseudo_raw + tuoi_raw_sum(udp + TUOI_UDP_TOTAL, 2);
    if (!tuoi_is_ip4(gso->tuoi_kind))
        inner = tuoi_fold32(inner + tuoi_raw_sum(udp + inner_off, gso->tuoi_l4_off - gso->tuoi_ip_off));
    if (inner_off & 1u) inner <<= 8;
    raw += tuoi_raw_sum(udp, TUOI_UDP_CSUM) + inner;
    raw += tuoi_raw_sum(udp + TUOI_UDP_LEN, inner_off - TUOI_UDP_LEN);
    tuoi_store16(udp + TUOI_UDP_CSUM, tuoi_finish(tuoi_fold(raw), 1));
}

/* What only the last segment, if it is short, has otherwise than the template. */
static TUOI_NOINLINE void tuoi_gso_write_short(const tuo_gso *gso, uint8_t *hdr, uint32_t len) {
    tuoi_gso_write_lengths(gso, hdr, len);
    if (gso->tuoi_outer_csum) tuoi_gso_write_outer_csum(gso, hdr, len);
}

/* The headers of the superpacket into the template, without the jumbo_len bytes of a hop-by-hop
   header that the info does not count. */
static void tuoi_gso_plan_headers(tuo_gso *gso, const tuo_pkt_info *info, uint32_t jumbo_len) {
    const uint8_t *const pkt = gso->tuoi_pkt;
    gso->tuoi_pkt += jumbo_len;
    gso->tuoi_left_out = (uint16_t)jumbo_len; /* headers have at most TUO_HEADER_MAX bytes here */
    TUO_MEMCPY(gso->tuoi_hdr, gso->tuoi_pkt, info->payload_off);
    if (jumbo_len == 0) return;
    TUO_MEMCPY(gso->tuoi_hdr, pkt, info->ip_off + TUOI_IP6_LEN);
    gso->tuoi_hdr[info->ip_off + TUOI_IP6_NEXT] = pkt[info->ip_off + TUOI_IP6_LEN];
}

/* Of a full segment: the lengths are in the template already. pseudo_sum: of the superpacket. */
static void tuoi_gso_plan_sums(tuo_gso *gso, const tuo_pkt_info *info, uint32_t pseudo_sum) {
    const uint8_t *const hdr = gso->tuoi_hdr;
    const uint32_t l4_len = info->l4_hdr_len + gso->tuoi_gso_size;
    gso->tuoi_pseudo_raw = tuoi_big16(pseudo_sum) + tuoi_big16(l4_len);
    gso->tuoi_l4_raw =
        gso->tuoi_pseudo_raw + tuoi_gso_l4_shared_sum(hdr + info->l4_off, info->l4_hdr_len, tuoi_is_tcp(info->kind));
    if (tuoi_is_ip4(info->kind)) gso->tuoi_ip_raw = tuoi_gso_ip4_shared_sum(hdr + info->ip_off, info->ip_hdr_len);
}

/* The headers around a tunnelled packet, whose lengths are in the template already. A checksum of 0
   without its flag stays: there is none. pseudo_sum: of the superpacket. */
static void tuoi_gso_plan_outer(tuo_gso *gso, const tuo_pkt_info *outer, uint32_t pseudo_sum,
                                const tuo_vnet_hdr *vnet) {
    const uint8_t *const hdr = gso->tuoi_hdr;
    gso->tuoi_outer_ip_id = outer->ip_id;
    if (tuoi_is_ip4(outer->kind))
        gso->tuoi_outer_ip_raw = tuoi_gso_ip4_shared_sum(hdr + outer->ip_off, outer->ip_hdr_len);
    if (!(vnet->flags & TUO_VNET_UDP_TUNNEL_CSUM)) return;
    gso->tuoi_outer_csum = 1;
    gso->tuoi_outer_pseudo_raw = tuoi_big16(pseudo_sum);
    tuoi_gso_write_outer_csum(gso, gso->tuoi_hdr, gso->tuoi_gso_size);
}

/* Payload bytes of a full segment; of what is not cut, all. */
static uint32_t tuoi_gso_size_of(const tuo_pkt_info *info, const tuo_vnet_hdr *vnet) {
    const int cut = tuoi_gso_base(vnet->gso_type) != TUO_GSO_NONE && info->payload_len > vnet->gso_size; /* K 1.7h */
    return cut ? vnet->gso_size : info->payload_len;
}

/* The headers of the superpacket are in the template already. */
static void tuoi_gso_plan_cut(tuo_gso *gso, const tuo_pkt_info *info, const tuo_pkt_info *outer,
                              const tuo_vnet_hdr *vnet) {
    const uint32_t gso_size = tuoi_gso_size_of(info, vnet);
    const uint32_t payload_len = info->payload_len;
    const uint32_t inner_pseudo_sum = tuoi_gso_pseudo_sum(gso->tuoi_hdr, info, vnet->flags & TUO_VNET_NEEDS_CSUM);
    uint32_t outer_pseudo_sum = 0;
    gso->tuoi_kind = info->kind;
    gso->tuoi_pkt_len = (size_t)info->payload_off + payload_len;
    gso->tuoi_hdr_len = info->payload_off;
    gso->tuoi_payload_len = payload_len;
    gso->tuoi_gso_size = gso_size;
    gso->tuoi_seg_count = payload_len > gso_size ? payload_len / gso_size + (payload_len % gso_size != 0) : 1;
    gso->tuoi_ip_off = info->ip_off;
    gso->tuoi_l4_off = info->l4_off;
    gso->tuoi_outer_kind = outer->kind;
    if (outer->kind != TUO_KIND_NONE) {
        gso->tuoi_outer_ip_off = outer->ip_off;
        gso->tuoi_outer_l4_off = outer->l4_off;
        outer_pseudo_sum = tuoi_gso_pseudo_sum(gso->tuoi_hdr, outer, 1);
    }
    gso->tuoi_seq = info->seq;
    gso->tuoi_ip_id = info->ip_id;
    gso->tuoi_tcp_flags = info->tcp_flags;
    tuoi_gso_write_lengths(gso, gso->tuoi_hdr, gso->tuoi_gso_size);
    tuoi_gso_plan_sums(gso, info, inner_pseudo_sum);
    if (outer->kind != TUO_KIND_NONE) tuoi_gso_plan_outer(gso, outer, outer_pseudo_sum, vnet);
}

/* P2: segments get fresh checksums, so the old ones must be known to be right. With NEEDS_CSUM
   there is only a seed, used as it is. */
static tuo_result tuoi_gso_verify(const uint8_t *pkt, const tuo_pkt_info *info, const tuo_pkt_info *outer,
                                  const tuo_vnet_hdr *vnet, unsigned flags) {
    const int partial = (vnet->flags & TUO_VNET_NEEDS_CSUM) != 0;
    const tuoi_shape shape = tuoi_shape_of(info);
    if ((info->flags & TUO_PKT_ROUTING) && !partial) return TUO_E_VNET_NEEDS_CSUM;
    if (flags & TUO_F_TRUST) return TUO_OK;
    if (info->ip_version == 4 && !tuoi_ip4_csum_ok(pkt + info->ip_off, info->ip_hdr_len)) return TUO_E_IP_CSUM;
    if (tuoi_is_ip4(outer->kind) && !tuoi_ip4_csum_ok(pkt + outer->ip_off, outer->ip_hdr_len)) return TUO_E_IP_CSUM;
    return partial || tuoi_l4_csum_ok(tuoi_sums_flagged(flags), pkt, &shape, info->payload_len, NULL) ? TUO_OK
                                                                                                      : TUO_E_L4_CSUM;
}

/* The packet is passed on as it came, or with its checksum completed. */
static tuo_result tuoi_gso_is_whole(tuo_pkt_info *info) {
    info->kind = TUO_KIND_NONE;
    return TUO_OK;
}

/* A jumbo payload option in what is cut: none of its segments may have it. *jumbo_len: bytes of a
   hop-by-hop header that is to go. None goes inside a tunnel, nor in front of one. */
static tuo_result tuoi_gso_check_jumbo(const uint8_t *pkt, const tuo_pkt_info *info, const tuo_pkt_info *outer,
                                       unsigned flags, uint32_t *jumbo_len) {
    const int tunnel = outer->kind != TUO_KIND_NONE;
    *jumbo_len = tuoi_find_jumbo(pkt + info->ip_off, info);
    if (tunnel && tuoi_find_jumbo(pkt + outer->ip_off, outer)) return TUO_E_IP6_JUMBO;
    if (*jumbo_len == 0) return TUO_OK;
    return tunnel || *jumbo_len == TUOI_JUMBO_STAYS || !(flags & TUO_F_STRIP_JUMBO) ? TUO_E_IP6_JUMBO : TUO_OK;
}

/* *info is filled for superpackets, and for what else needs two checksums: a single packet in a
   tunnel. Otherwise its kind is NONE. *len becomes that of a packet with a GSO type, without bytes
   behind it. *jumbo_len: bytes of a hop-by-hop header that is to go, which *info does not count. */
static tuo_result tuoi_gso_check(const uint8_t *pkt, size_t *len, const tuo_vnet_hdr *vnet, unsigned flags,
                                 tuo_pkt_info *info, tuo_pkt_info *outer, uint32_t *jumbo_len) {
    tuo_result result = tuoi_vnet_check(vnet, pkt, *len, flags & TUO_F_ETHERNET, info, outer);
    *jumbo_len = 0;
    if (result != TUO_OK) return result;
    if (info->kind == TUO_KIND_NONE && !tuoi_vnet_is_single(vnet, pkt, *len, flags, info, outer))
        return tuoi_gso_is_whole(info);
    *len = (size_t)info->ip_off + info->total_len;
    if (tuoi_gso_size_of(info, vnet) != info->payload_len) {
        result = tuoi_gso_check_jumbo(pkt, info, outer, flags, jumbo_len);
    } else if (outer->kind != TUO_KIND_NONE && (vnet->flags & TUO_VNET_UDP_TUNNEL_CSUM)) {
        result = tuoi_vnet_check_segment(info, outer, info->payload_len);
    } else {
        return tuoi_gso_is_whole(info);
    }
    if (result == TUO_OK) result = tuoi_gso_verify(pkt, info, outer, vnet, flags);
    if (result != TUO_OK) return result;
    info->ip_hdr_len -= *jumbo_len;
    info->l4_off -= *jumbo_len;
    info->payload_off -= *jumbo_len;
    return TUO_OK;
}

static void tuoi_gso_begin(tuo_gso *gso, const uint8_t *pkt, unsigned flags) {
    TUO_MEMSET(gso, 0, sizeof *gso - sizeof gso->tuoi_hdr);
    gso->tuoi_pkt = pkt;
    gso->tuoi_sums = tuoi_sums_flagged(flags);
    gso->tuoi_pseudo = (flags & TUO_F_PSEUDO) != 0;
}

TUO_API tuo_result tuo_gso_init(tuo_gso *gso, const void *pkt, size_t len, const tuo_vnet_hdr *vnet, unsigned flags) {
    const uint8_t *const bytes = (const uint8_t *)pkt;
    tuo_pkt_info info, outer;
    uint32_t jumbo_len;
    const tuo_result result = tuoi_gso_check(bytes, &len, vnet, flags, &info, &outer, &jumbo_len);
    if (result != TUO_OK) return result;
    tuoi_gso_begin(gso, bytes, flags);
    if (info.kind == TUO_KIND_NONE) {
        tuoi_gso_plan_whole(gso, len, vnet);
    } else {
        tuoi_gso_plan_headers(gso, &info, jumbo_len);
        tuoi_gso_plan_cut(gso, &info, &outer, vnet);
    }
    return TUO_OK;
}

TUO_API size_t tuo_gso_count(const tuo_gso *gso) { return gso->tuoi_seg_count; }
TUO_API size_t tuo_gso_remaining(const tuo_gso *gso) { return gso->tuoi_seg_count - gso->tuoi_next_idx; }

/* Headers of 28 bytes and more, without a call; the last step overlaps the one before it. */
TUOI_FORCE_INLINE void tuoi_copy_header(uint8_t *dst, const uint8_t *src, uint32_t len) {
    uint32_t at;
    for (at = 0; at < len - 16; at += 16) TUO_MEMCPY(dst + at, src + at, 16);
    TUO_MEMCPY(dst + len - 16, src + len - 16, 16);
}

/* What the next segment borrows: its payload, or the whole packet if that is not cut. */
typedef struct tuoi_gso_piece {
    const uint8_t *bytes;
    size_t len;
    uint32_t off; /* in the payload of the superpacket */
} tuoi_gso_piece;

TUOI_FORCE_INLINE tuoi_gso_piece tuoi_gso_piece_next(const tuo_gso *gso) {
    tuoi_gso_piece piece = { gso->tuoi_pkt, gso->tuoi_pkt_len, 0 };
    TUO_ASSERT(gso->tuoi_next_idx < gso->tuoi_seg_count);
    if (gso->tuoi_kind == TUO_KIND_NONE) return piece;
    piece.off = gso->tuoi_next_idx * gso->tuoi_gso_size; /* below payload_len */
    piece.len = tuoi_min32(gso->tuoi_gso_size, gso->tuoi_payload_len - piece.off);
    piece.bytes += gso->tuoi_hdr_len + piece.off;
    return piece;
}

/* raw: the sum of all but the ID, without what the total length falls short of that in the plan. */
TUOI_FORCE_INLINE void tuoi_gso_stamp_ip4(uint8_t *ip, uint32_t first_id, uint32_t idx, uint32_t raw) {
    const uint16_t id = tuoi_big16(first_id + idx); /* K 6.2 */
    tuoi_store16(ip + TUOI_IP4_ID, id);
    tuoi_store16(ip + TUOI_IP4_CSUM, tuoi_finish(raw + id, 0));
}

/* K 6.4: CWR on the first segment only, FIN and PSH on the last. */
TUOI_FORCE_INLINE unsigned tuoi_cut_flags(unsigned flags, int first, int last) {
    if (!first) flags &= ~(unsigned)TUOI_CWR;
    if (!last) flags &= ~(unsigned)(TUOI_FIN | TUOI_PSH);
    return flags;
}

/* Returns the sum of what it wrote. */
TUOI_FORCE_INLINE uint64_t tuoi_gso_stamp_tcp(const tuo_gso *gso, uint8_t *tcp, uint32_t payload_off) {
    const uint32_t seq = tuoi_big32(tuoi_seq_add(gso->tuoi_seq, payload_off));
    const unsigned flags =
        tuoi_cut_flags(gso->tuoi_tcp_flags, gso->tuoi_next_idx == 0, gso->tuoi_next_idx + 1 == gso->tuoi_seg_count);
    TUO_MEMCPY(tcp + TUOI_TCP_SEQ, &seq, 4);
    tcp[TUOI_TCP_FLAGS] = (uint8_t)flags;
    return (uint64_t)seq + tuoi_big16(flags);
}

/* Write what differs into a header that holds the template. payload_raw is not looked at for
   pseudo-header sums. Taking away is adding the complement (RFC 1071 1); for a full segment that is
   0xffff, which changes no sum but that of nothing. */
TUOI_FORCE_INLINE void tuoi_gso_stamp(const tuo_gso *gso, uint8_t *hdr, const tuoi_gso_piece *piece,
                                      uint64_t payload_raw) {
    const int tcp = tuoi_is_tcp(gso->tuoi_kind);
    uint8_t *const l4 = hdr + gso->tuoi_l4_off;
    const uint32_t missing_len = gso->tuoi_gso_size - (uint32_t)piece->len;
    const uint32_t less = tuoi_big16(~missing_len);
    uint64_t raw = payload_raw + gso->tuoi_l4_raw + less;
    if (missing_len) tuoi_gso_write_short(gso, hdr, (uint32_t)piece->len);
    if (tuoi_is_ip4(gso->tuoi_kind))
        tuoi_gso_stamp_ip4(hdr + gso->tuoi_ip_off, gso->tuoi_ip_id, gso->tuoi_next_idx, gso->tuoi_ip_raw + less);
    if (gso->tuoi_outer_kind == TUO_KIND_UDP4)
        tuoi_gso_stamp_ip4(hdr + gso->tuoi_outer_ip_off, gso->tuoi_outer_ip_id, gso->tuoi_next_idx,
                           gso->tuoi_outer_ip_raw + less);
    raw += tcp ? tuoi_gso_stamp_tcp(gso, l4, piece->off) : less; /* the length of UDP stands in its header, too */
    tuoi_store16(l4 + tuoi_kinds[gso->tuoi_kind].l4_csum_off,
                 gso->tuoi_pseudo ? tuoi_fold32(gso->tuoi_pseudo_raw + less) : tuoi_finish(tuoi_fold(raw), !tcp));
}

TUOI_INLINE uint64_t tuoi_gso_payload_sum(const tuo_gso *gso, const tuoi_gso_piece *piece) {
    return gso->tuoi_pseudo ? 0 : gso->tuoi_sums->sum(piece->bytes, piece->len, 0);
}

static void tuoi_segment_add(tuo_segment *segment, const void *base, size_t len) {
    segment->iov[segment->iov_count].base = base;
    segment->iov[segment->iov_count].len = len;
    segment->iov_count++;
    segment->len += len;
}

/* The partial checksum of a packet that is not cut; where it is was checked at init. */
static uint16_t tuoi_gso_completed(const tuo_gso *gso) {
    return tuoi_complete(gso->tuoi_sums, gso->tuoi_pkt, gso->tuoi_pkt_len, gso->tuoi_csum_start);
}

static void tuoi_gso_fill_csum(const tuo_gso *gso, uint8_t *pkt) {
    tuoi_wr16(pkt + gso->tuoi_csum_start + gso->tuoi_csum_offset, tuoi_gso_completed(gso));
}

/* The packet as it is, or with its two checksum bytes taken from `field`. */
static void tuoi_gso_next_whole(const tuo_gso *gso, uint8_t *field, tuo_segment *segment) {
    const size_t field_off = (size_t)gso->tuoi_csum_start + gso->tuoi_csum_offset;
    if (!gso->tuoi_fill_csum) {
        tuoi_segment_add(segment, gso->tuoi_pkt, gso->tuoi_pkt_len);
        return;
    }
    tuoi_wr16(field, tuoi_gso_completed(gso));
    tuoi_segment_add(segment, gso->tuoi_pkt, field_off);
    tuoi_segment_add(segment, field, 2);
    tuoi_segment_add(segment, gso->tuoi_pkt + field_off + 2, gso->tuoi_pkt_len - field_off - 2);
}

TUO_API tuo_result tuo_gso_next(tuo_gso *gso, uint8_t *header, tuo_segment *segment) {
    uint8_t *const hdr = header ? header : gso->tuoi_hdr;
    if (gso->tuoi_next_idx == gso->tuoi_seg_count) return TUO_DONE;
    if (gso->tuoi_kind == TUO_KIND_NONE) {
        segment->iov_count = segment->len = segment->payload_len = 0;
        tuoi_gso_next_whole(gso, hdr, segment);
    } else {
        const tuoi_gso_piece piece = tuoi_gso_piece_next(gso);
        if (header) tuoi_copy_header(header, gso->tuoi_hdr, gso->tuoi_hdr_len);
        tuoi_gso_stamp(gso, hdr, &piece, tuoi_gso_payload_sum(gso, &piece));
        segment->iov[0].base = hdr;
        segment->iov[0].len = gso->tuoi_hdr_len;
        segment->iov[1].base = piece.bytes;
        segment->iov[1].len = segment->payload_len = piece.len;
        segment->iov_count = 2;
        segment->len = gso->tuoi_hdr_len + piece.len;
    }
    gso->tuoi_next_idx++;
    return TUO_OK;
}

TUO_API size_t tuo_gso_next_batch(tuo_gso *gso, uint8_t (*headers)[TUO_HEADER_MAX], tuo_segment *segments,
                                  size_t count) {
    size_t i = 0;
    while (i < count && tuo_gso_next(gso, headers[i], &segments[i]) == TUO_OK) i++;
    return i;
}

/* Is it the packet that init got? Then *bytes is tuoi_pkt, to write to. An empty packet may be
   NULL, to which C adds not even 0. */
static int tuoi_gso_same_packet(const tuo_gso *gso, void *pkt, uint8_t **bytes) {
    *bytes = (uint8_t *)pkt;
    if (gso->tuoi_left_out == 0) return pkt == gso->tuoi_pkt;
    if (pkt != gso->tuoi_pkt - gso->tuoi_left_out) return 0;
    *bytes += gso->tuoi_left_out;
    return 1;
}

TUO_API tuo_result tuo_gso_next_in_place(tuo_gso *gso, void *pkt, tuo_buf *segment) {
    uint8_t *data;
    size_t len = gso->tuoi_pkt_len;
    if (!tuoi_gso_same_packet(gso, pkt, &data)) return TUO_E_INVALID;
    if (gso->tuoi_next_idx == gso->tuoi_seg_count) return TUO_DONE;
    if (gso->tuoi_kind != TUO_KIND_NONE) {
        const tuoi_gso_piece piece = tuoi_gso_piece_next(gso);
        const uint64_t payload_raw = tuoi_gso_payload_sum(gso, &piece);
        data += piece.off; /* hdr_len bytes in front of the payload, at or behind the start of the buffer */
        len = gso->tuoi_hdr_len + piece.len;
        tuoi_copy_header(data, gso->tuoi_hdr, gso->tuoi_hdr_len);
        tuoi_gso_stamp(gso, data, &piece, payload_raw);
    } else if (gso->tuoi_fill_csum) {
        tuoi_gso_fill_csum(gso, data);
    }
    segment->data = data;
    segment->len = segment->capacity = len;
    gso->tuoi_next_idx++;
    return TUO_OK;
}

/* Write the next segment, of one byte or more, to dst, which has room for it. */
static void tuoi_gso_write(const tuo_gso *gso, const tuoi_gso_piece *piece, uint8_t *dst) {
    uint8_t *const body = dst + gso->tuoi_hdr_len;
    if (gso->tuoi_kind == TUO_KIND_NONE || gso->tuoi_pseudo) {
        TUO_MEMCPY(body, piece->bytes, piece->len);
        if (gso->tuoi_fill_csum) tuoi_gso_fill_csum(gso, dst);
    }
    if (gso->tuoi_kind != TUO_KIND_NONE) {
        const uint64_t raw = gso->tuoi_pseudo ? 0 : gso->tuoi_sums->copy_sum(body, piece->bytes, piece->len, 0);
        tuoi_copy_header(dst, gso->tuoi_hdr, gso->tuoi_hdr_len);
        tuoi_gso_stamp(gso, dst, piece, raw);
    }
}

TUO_API tuo_result tuo_gso_split(tuo_gso *gso, const tuo_buf_ops *ops, void *const *bufs, size_t count, size_t offset,
                                 size_t *written) {
    const tuo_buf_ops *const o = ops ? ops : &tuoi_plain_ops;
    tuo_result result = TUO_OK;
    size_t i;
    for (i = 0; i < count && gso->tuoi_next_idx < gso->tuoi_seg_count; i++) {
        const tuoi_gso_piece piece = tuoi_gso_piece_next(gso);
        const size_t len = gso->tuoi_hdr_len + piece.len; /* hdr_len is 0 for a packet that is not cut */
        const size_t capacity = tuoi_ops_capacity(o, bufs[i]);
        if (capacity < offset || capacity - offset < len) result = TUO_E_NOSPACE;
        if (result == TUO_OK && tuoi_ops_resize(o, bufs[i], offset + len) != 0) result = TUO_E_BUFFER;
        if (result != TUO_OK) break;
        /* an empty buffer may have no memory */
        if (len) tuoi_gso_write(gso, &piece, tuoi_ops_data(o, bufs[i]) + offset);
        gso->tuoi_next_idx++;
    }
    *written = i;
    if (result != TUO_OK) return result;
    return gso->tuoi_next_idx < gso->tuoi_seg_count ? TUO_MORE : TUO_OK;
}

/* ----------------------------------------------------------------------------------------- >>tx */
/* Capabilities, the ladder, bursts. What is left to a device is decided once per packet from
   capabilities and headers; superpackets are then finished by >>account, segments by >>gso. */

static int tuoi_caps_ok(const tuo_caps *caps) {
    return caps->ethernet <= 1 && caps->tx_vlan_max <= TUO_VLAN_MAX;
}

static unsigned tuoi_caps_frame_flags(const tuo_caps *caps) { return caps->ethernet ? (unsigned)TUO_F_ETHERNET : 0u; }

static uint32_t tuoi_caps_max_len(const tuo_caps *caps, unsigned kind) {
    const uint32_t by_kind[5] = { 0, caps->max_tcp4, caps->max_udp4, caps->max_tcp6, caps->max_udp6 };
    return by_kind[kind];
}

static int tuoi_caps_csum(const tuo_caps *caps, unsigned kind) {
    const uint8_t by_kind[5] = { 0, caps->tx_csum_tcp4, caps->tx_csum_udp4, caps->tx_csum_tcp6, caps->tx_csum_udp6 };
    return kind != TUO_KIND_NONE && (by_kind[kind] || caps->tx_csum_any);
}

/* The smaller of two limits of which 0 is none. */
static uint32_t tuoi_tighter(uint32_t a, uint32_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

TUO_API tuo_result tuo_caps_intersect(const tuo_caps *a, const tuo_caps *b, tuo_caps *both) {
    tuo_caps c;
    if (!tuoi_caps_ok(a) || !tuoi_caps_ok(b) || a->ethernet != b->ethernet) return TUO_E_INVALID;
    c = *a;
    c.tx_csum_ip4 = (uint8_t)(a->tx_csum_ip4 && b->tx_csum_ip4);
    c.tx_csum_tcp4 = (uint8_t)(tuoi_caps_csum(a, TUO_KIND_TCP4) && tuoi_caps_csum(b, TUO_KIND_TCP4));
    c.tx_csum_udp4 = (uint8_t)(tuoi_caps_csum(a, TUO_KIND_UDP4) && tuoi_caps_csum(b, TUO_KIND_UDP4));
    c.tx_csum_tcp6 = (uint8_t)(tuoi_caps_csum(a, TUO_KIND_TCP6) && tuoi_caps_csum(b, TUO_KIND_TCP6));
    c.tx_csum_udp6 = (uint8_t)(tuoi_caps_csum(a, TUO_KIND_UDP6) && tuoi_caps_csum(b, TUO_KIND_UDP6));
    c.rx_csum_ip4 = (uint8_t)(a->rx_csum_ip4 && b->rx_csum_ip4);
    c.rx_csum_tcp4 = (uint8_t)(a->rx_csum_tcp4 && b->rx_csum_tcp4);
    c.rx_csum_udp4 = (uint8_t)(a->rx_csum_udp4 && b->rx_csum_udp4);
    c.rx_csum_tcp6 = (uint8_t)(a->rx_csum_tcp6 && b->rx_csum_tcp6);
    c.rx_csum_udp6 = (uint8_t)(a->rx_csum_udp6 && b->rx_csum_udp6);
    c.tx_csum_any = (uint8_t)(a->tx_csum_any && b->tx_csum_any);
    c.tx_ip6_ext = (uint8_t)(a->tx_ip6_ext && b->tx_ip6_ext);
    c.tx_vlan_max = (uint8_t)tuoi_min32(a->tx_vlan_max, b->tx_vlan_max);
    c.tx_vlan_insert = (uint8_t)(a->tx_vlan_insert && b->tx_vlan_insert);
    c.tso_cwr = (uint8_t)(a->tso_cwr && b->tso_cwr);
    c.max_tcp4 = tuoi_min32(a->max_tcp4, b->max_tcp4);
    c.max_tcp6 = tuoi_min32(a->max_tcp6, b->max_tcp6);
    c.max_udp4 = tuoi_min32(a->max_udp4, b->max_udp4);
    c.max_udp6 = tuoi_min32(a->max_udp6, b->max_udp6);
    c.min_seg_size = a->min_seg_size > b->min_seg_size ? a->min_seg_size : b->min_seg_size;
    c.max_seg_size = tuoi_tighter(a->max_seg_size, b->max_seg_size);
    c.max_segs = tuoi_tighter(a->max_segs, b->max_segs);
    c.max_udp_segs = tuoi_tighter(a->max_udp_segs, b->max_udp_segs);
    c.max_hdr_len = tuoi_tighter(a->max_hdr_len, b->max_hdr_len);
    c.mtu = tuoi_tighter(a->mtu, b->mtu);
    c.max_frags = tuoi_tighter(a->max_frags, b->max_frags);
    if (!a->tso_sum_no_len != !b->tso_sum_no_len || (c.max_seg_size && c.max_seg_size < c.min_seg_size)) {
        c.max_tcp4 = c.max_tcp6 = c.max_udp4 = c.max_udp6 = 0;
    }
    *both = c;
    return TUO_OK;
}

TUO_API unsigned tuo_rx_hint(const tuo_caps *caps, const tuo_vnet_hdr *vnet) {
    if (!(vnet->flags & TUO_VNET_DATA_VALID) || (vnet->flags & TUO_VNET_NEEDS_CSUM) || vnet->gso_type != TUO_GSO_NONE)
        return 0;
    return caps && caps->rx_csum_ip4 ? TUO_F_TRUST : TUO_F_TRUST_L4;
}

TUO_API tuo_result tuo_tso_prepare(void *pkt, size_t len, uint16_t gso_size, const tuo_caps *caps, tuo_vnet_hdr *vnet) {
    tuo_pkt_info info;
    tuoi_shape shape;
    uint32_t seg_len, fixed_len;
    tuo_result result;
    if (!tuoi_caps_ok(caps)) return TUO_E_INVALID;
    result = tuoi_parse((const uint8_t *)pkt, len, tuoi_caps_frame_flags(caps) | TUOI_F_WHOLE, &info);
    if (result != TUO_OK) return result;
    if (info.flags & TUO_PKT_FRAGMENT) return TUO_E_VNET_FRAGMENT;
    if (info.kind == TUO_KIND_NONE || (info.flags & TUO_PKT_ROUTING)) return TUO_E_VNET_PROTOCOL;
    if (info.payload_off > TUO_HEADER_MAX) return TUO_E_HEADER_TOO_LONG;
    fixed_len = info.ip_version == 4 ? 0 : TUOI_IP6_LEN; /* what the length field does not count */
    seg_len = info.payload_off - info.ip_off + tuoi_min32(gso_size, info.payload_len);
    if (gso_size == 0 || gso_size == 0xFFFFu || seg_len - fixed_len > 0xFFFFu) return TUO_E_VNET_GSO_SIZE;
    if (info.total_len - fixed_len > 0xFFFFu && info.total_len > tuoi_caps_max_len(caps, info.kind))
        return TUO_E_IP_LENGTH;
    shape = tuoi_shape_of(&info);
    tuoi_account_any((uint8_t *)pkt, &shape, info.payload_len, gso_size, vnet);
    return TUO_OK;
}

/* --- the ladder: decide --- */

/* Bytes behind Ethernet header and tags of the longest packet that the device sends. */
static size_t tuoi_ladder_longest(const tuo_caps *caps, const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet,
                                  const tuo_pkt_info *info, const tuo_pkt_info *outer) {
    const tuo_pkt_info *const around = outer->kind != TUO_KIND_NONE ? outer : info;
    tuo_pkt_info l2;
    size_t l2_len = 0;
    if (info->kind != TUO_KIND_NONE)
        return (size_t)info->payload_off - around->ip_off + tuoi_gso_size_of(info, vnet);
    if (caps->ethernet) {
        TUO_MEMSET(&l2, 0, sizeof l2);
        (void)tuoi_parse_l2(pkt, (uint32_t)len, &l2); /* counts tags, whatever is behind them */
        l2_len = TUOI_ETH_LEN + (size_t)TUOI_VLAN_LEN * l2.vlan_count;
    }
    return len > l2_len ? len - l2_len : 0;
}

/* Can the outermost tag be left to the device? Not if a partial checksum covers it. */
static int tuoi_ladder_leaves_tag(const tuo_caps *caps, const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet) {
    return caps->tx_vlan_insert && caps->ethernet && len >= TUOI_ETH_LEN + TUOI_VLAN_LEN &&
           tuoi_rd16(pkt + TUOI_ETH_TYPE) == TUOI_ETHERTYPE_VLAN &&
           (!(vnet->flags & TUO_VNET_NEEDS_CSUM) || vnet->csum_start >= TUOI_ETH_TYPE + TUOI_VLAN_LEN);
}

/* All offsets count from 4 bytes later on; only the addresses are not there. */
static void tuoi_ladder_leave_tag(tuo_tx *tx, const uint8_t *pkt, tuo_pkt_info *info, tuo_pkt_info *outer,
                                  tuo_vnet_hdr *vnet) {
    tuo_gso *const gso = &tx->tuoi_gso;
    uint8_t *const type = gso->tuoi_hdr + TUOI_ETH_TYPE;
    tx->tuoi_vlan_insert = 1;
    tx->tuoi_vlan_tci = tuoi_rd16(pkt + TUOI_ETH_LEN);
    gso->tuoi_pkt += TUOI_VLAN_LEN;
    gso->tuoi_left_out = (uint16_t)(gso->tuoi_left_out + TUOI_VLAN_LEN);
    vnet->csum_start = (uint16_t)(vnet->csum_start - TUOI_VLAN_LEN); /* without NEEDS_CSUM it means nothing */
    if (info->kind == TUO_KIND_NONE) return;
    TUO_MEMMOVE(type, type + TUOI_VLAN_LEN, info->payload_off - TUOI_ETH_TYPE - TUOI_VLAN_LEN);
    info->ip_off -= TUOI_VLAN_LEN;
    info->l4_off -= TUOI_VLAN_LEN;
    info->payload_off -= TUOI_VLAN_LEN;
    if (outer->kind == TUO_KIND_NONE) {
        info->vlan_count--;
    } else { /* the tag is in front of the headers around it */
        outer->ip_off -= TUOI_VLAN_LEN;
        outer->l4_off -= TUOI_VLAN_LEN;
    }
}

/* Can the device finish checksums behind these headers? A seed behind a routing header is for
   another destination than the one in the IP header, from which some devices make their own; the
   same of bytes that only some of them count. */
static int tuoi_ladder_offloads(const tuo_caps *caps, const tuo_pkt_info *info) {
    return tuoi_caps_csum(caps, info->kind) && !(info->flags & TUO_PKT_ROUTING) &&
           info->vlan_count <= caps->tx_vlan_max &&
           (caps->tx_ip6_ext || info->ip_version == 4 || info->ip_hdr_len == TUOI_IP6_LEN);
}

/* Fill in how a superpacket leaves as superpackets. 0: it cannot. */
static int tuoi_ladder_plan_units(tuo_tx *tx, const tuo_caps *caps, const tuo_pkt_info *info) {
    const uint32_t size = tx->tuoi_gso_size, max_len = tuoi_caps_max_len(caps, info->kind);
    const uint32_t hdr_len = info->payload_off - info->ip_off,
                   seg_count = info->payload_len / size + (info->payload_len % size != 0);
    const uint32_t segs_max = tuoi_is_tcp(info->kind) ? caps->max_segs : caps->max_udp_segs;
    if (max_len <= hdr_len || size < caps->min_seg_size || (caps->max_seg_size && size > caps->max_seg_size)) return 0;
    if (caps->max_hdr_len && info->payload_off > caps->max_hdr_len) return 0;
    tx->tuoi_segs_max = segs_max ? segs_max : TUOI_NONE;
    tx->tuoi_payload_max = max_len - hdr_len;
    tx->tuoi_unit_segs = tuoi_min32(tx->tuoi_segs_max, tx->tuoi_payload_max / size);
    if (tx->tuoi_unit_segs == 0) return 0; /* 1: a short last segment may still fit behind a full one */
    tx->tuoi_first_alone = (info->tcp_flags & TUOI_CWR) && !caps->tso_cwr;
    tx->tuoi_seg_count = seg_count;
    return 1;
}

/* What tuoi_gso hands out keeps its seed at csum_start, for the device. */
static void tuoi_ladder_leave_csum(tuo_tx *tx, uint32_t csum_start, uint16_t csum_offset, uint32_t hdr_len) {
    tx->tuoi_gso.tuoi_pseudo = 1;
    tx->tuoi_vnet.flags = TUO_VNET_NEEDS_CSUM;
    tx->tuoi_vnet.csum_start = (uint16_t)csum_start;
    tx->tuoi_vnet.csum_offset = csum_offset;
    tx->tuoi_vnet.hdr_len = (uint16_t)hdr_len; /* at most TUO_HEADER_MAX */
}

/* Of what is in a tunnel only a checksum can be left to a device, at csum_start: its segments get
   finished outer ones (K 3.6). */
static void tuoi_ladder_plan_superpacket(tuo_tx *tx, const tuo_caps *caps, const tuo_pkt_info *info,
                                         const tuo_pkt_info *outer, const tuo_vnet_hdr *vnet) {
    const int offloads = outer->kind == TUO_KIND_NONE && tuoi_ladder_offloads(caps, info);
    if (offloads) tx->tuoi_info = *info;
    if (offloads || caps->tx_csum_any)
        tuoi_ladder_leave_csum(tx, info->l4_off, tuoi_kinds[info->kind].l4_csum_off, info->payload_off);
    if (offloads && tuoi_ladder_plan_units(tx, caps, info)) {
        tx->tuoi_pseudo_sum =
            tuoi_gso_pseudo_sum(tx->tuoi_gso.tuoi_hdr, info, vnet->flags & TUO_VNET_NEEDS_CSUM);
    } else {
        tuoi_gso_plan_cut(&tx->tuoi_gso, info, outer, vnet);
    }
}

/* Is the partial checksum that of the packet's own TCP or UDP header, over all that follows it?
   Then devices that know these protocols, but not csum_start and csum_offset, can finish it. */
static int tuoi_ladder_own_csum(const tuo_caps *caps, const uint8_t *pkt, size_t len, const tuo_vnet_hdr *vnet,
                                tuo_pkt_info *info) {
    return tuoi_parse(pkt, len, tuoi_caps_frame_flags(caps), info) == TUO_OK && tuoi_ladder_offloads(caps, info) &&
           vnet->csum_start == info->l4_off && vnet->csum_offset == tuoi_kinds[info->kind].l4_csum_off &&
           (size_t)info->payload_off + info->payload_len == len && info->payload_off <= TUO_HEADER_MAX;
}

static void tuoi_ladder_plan_packet(tuo_tx *tx, const tuo_caps *caps, size_t len, const tuo_vnet_hdr *vnet) {
    tuo_pkt_info info;
    if (vnet->flags & TUO_VNET_NEEDS_CSUM) {
        const int own = tuoi_ladder_own_csum(caps, tx->tuoi_gso.tuoi_pkt, len, vnet, &info);
        if (own) tx->tuoi_info = info;
        if (own || caps->tx_csum_any) /* hdr_len is a hint, which Linux raises to what it needs (K 1.7b) */
            tuoi_ladder_leave_csum(tx, vnet->csum_start, vnet->csum_offset, own ? info.payload_off : 0u);
    }
    tuoi_gso_plan_whole(&tx->tuoi_gso, len, vnet);
}

TUO_API tuo_result tuo_tx_init(tuo_tx *tx, const tuo_caps *caps, const void *pkt, size_t len, const tuo_vnet_hdr *vnet,
                               unsigned flags) {
    const uint8_t *const bytes = (const uint8_t *)pkt;
    tuo_vnet_hdr where = *vnet;
    tuo_pkt_info info, outer;
    uint32_t jumbo_len;
    tuo_result result;
    if (!tuoi_caps_ok(caps)) return TUO_E_INVALID;
    result = tuoi_gso_check(bytes, &len, vnet, (flags & ~(unsigned)TUO_F_ETHERNET) | tuoi_caps_frame_flags(caps),
                            &info, &outer, &jumbo_len);
    if (result != TUO_OK) return result;
    if (caps->mtu && tuoi_ladder_longest(caps, bytes, len, vnet, &info, &outer) > caps->mtu) return TUO_E_MTU;
    TUO_MEMSET(tx, 0, sizeof *tx);
    tx->tuoi_gso_size = vnet->gso_size;
    tx->tuoi_frags_max = caps->max_frags;
    tx->tuoi_csum_ip4 = caps->tx_csum_ip4;
    tx->tuoi_sum_no_len = caps->tso_sum_no_len;
    tuoi_gso_begin(&tx->tuoi_gso, bytes, flags & ~(unsigned)TUO_F_PSEUDO);
    if (info.kind != TUO_KIND_NONE) tuoi_gso_plan_headers(&tx->tuoi_gso, &info, jumbo_len);
    if (tuoi_ladder_leaves_tag(caps, bytes, len, vnet)) {
        tuoi_ladder_leave_tag(tx, bytes, &info, &outer, &where);
        len -= TUOI_VLAN_LEN;
    }
    if (info.kind == TUO_KIND_NONE) {
        tuoi_ladder_plan_packet(tx, caps, len, &where);
    } else {
        tuoi_ladder_plan_superpacket(tx, caps, &info, &outer, vnet);
    }
    return TUO_OK;
}

/* --- the ladder: hand out --- */

/* What leaves next of a packet that leaves as superpackets. */
typedef struct tuoi_ladder_unit {
    uint32_t segs, off, len; /* off, len: payload bytes */
} tuoi_ladder_unit;

static tuoi_ladder_unit tuoi_ladder_unit_next(const tuo_tx *tx) {
    const uint32_t segs_left = tx->tuoi_seg_count - tx->tuoi_next_seg;
    tuoi_ladder_unit unit;
    uint32_t len_left;
    unit.off = tx->tuoi_next_seg * tx->tuoi_gso_size; /* below payload_len */
    len_left = tx->tuoi_info.payload_len - unit.off;
    if (tx->tuoi_first_alone && tx->tuoi_next_seg == 0) {
        unit.segs = 1;
    } else {
        unit.segs = segs_left <= tx->tuoi_segs_max && len_left <= tx->tuoi_payload_max ? segs_left : tx->tuoi_unit_segs;
    }
    unit.len = tuoi_min32(len_left, unit.segs * tx->tuoi_gso_size);
    return unit;
}

static void tuoi_ladder_describe(const tuo_tx *tx, tuo_tx_packet *packet) {
    const tuo_pkt_info *const info = &tx->tuoi_info;
    packet->kind = info->kind;
    packet->l2_len = (uint16_t)info->ip_off;
    packet->l3_len = (uint16_t)(info->l4_off - info->ip_off);
    packet->l4_len = (uint16_t)(info->payload_off - info->l4_off);
}

/* hdr holds the headers of the packet, or of the one that left before. */
static void tuoi_ladder_stamp(const tuo_tx *tx, uint8_t *hdr, const tuoi_ladder_unit *unit, tuo_tx_packet *packet) {
    const tuo_pkt_info *const info = &tx->tuoi_info;
    const tuoi_shape shape = tuoi_shape_of(info);
    uint8_t *const ip = hdr + info->ip_off, *const l4 = hdr + info->l4_off;
    const uint32_t seg = tx->tuoi_next_seg, l4_len = info->l4_hdr_len + unit->len;
    const uint32_t summed_len = tx->tuoi_sum_no_len && unit->segs > 1 ? 0 : tuoi_fold32(l4_len);
    if (info->ip_version == 4) tuoi_wr16(ip + TUOI_IP4_ID, info->ip_id + seg); /* K 6.2 */
    if (tuoi_is_tcp(info->kind)) {
        tuoi_wr32(l4 + TUOI_TCP_SEQ, tuoi_seq_add(info->seq, unit->off));
        l4[TUOI_TCP_FLAGS] = (uint8_t)tuoi_cut_flags(info->tcp_flags, seg == 0, seg + unit->segs == tx->tuoi_seg_count);
    }
    tuoi_account_any(hdr, &shape, unit->len, (uint16_t)tx->tuoi_gso_size, &packet->vnet);
    /* never of other addresses */
    tuoi_wr16(l4 + tuoi_kinds[info->kind].l4_csum_off, tuoi_fold32(tx->tuoi_pseudo_sum + summed_len));
    packet->seg_count = unit->segs;
    tuoi_ladder_describe(tx, packet);
    if (unit->segs == 1) return;
    /* virtio 1.3 5.1.6.2 */
    if (tuoi_is_tcp(info->kind) && (l4[TUOI_TCP_FLAGS] & TUOI_CWR)) packet->vnet.gso_type |= TUO_GSO_ECN;
    if (tx->tuoi_csum_ip4 && info->ip_version == 4) {
        tuoi_wr16(ip + TUOI_IP4_CSUM, 0);
        packet->csum_ip4 = 1;
    }
}

/* The metadata of what tuoi_gso hands out. */
static void tuoi_ladder_describe_gso(const tuo_tx *tx, tuo_tx_packet *packet) {
    packet->seg_count = 1;
    packet->vnet = tx->tuoi_vnet;
    tuoi_ladder_describe(tx, packet);
}

/* Not cut, nor a superpacket, and without its tag: the addresses are in front of the place where
   that was. */
static int tuoi_ladder_addresses_apart(const tuo_tx *tx) {
    return tx->tuoi_vlan_insert && tx->tuoi_gso.tuoi_kind == TUO_KIND_NONE;
}

static size_t tuoi_ladder_pieces(const tuo_tx *tx) {
    if (tx->tuoi_seg_count || tx->tuoi_gso.tuoi_kind != TUO_KIND_NONE) return 2;
    return (tx->tuoi_gso.tuoi_fill_csum ? 3u : 1u) + tx->tuoi_vlan_insert;
}

static void tuoi_ladder_add(tuo_tx_packet *packet, const void *base, size_t len) {
    packet->iov[packet->iov_count].base = base;
    packet->iov[packet->iov_count].len = len;
    packet->iov_count++;
    packet->len += len;
}

/* The packet is complete: as a frame. */
static void tuoi_ladder_describe_frame(const tuo_tx *tx, tuo_tx_packet *packet) {
    packet->wire_len_max =
        packet->seg_count > 1 ? (size_t)tx->tuoi_info.payload_off + tx->tuoi_gso_size : packet->len;
    if (tx->tuoi_vlan_insert) packet->wire_len_max += TUOI_VLAN_LEN;
    packet->vlan_insert = tx->tuoi_vlan_insert;
    packet->vlan_tci = tx->tuoi_vlan_tci;
}

static int tuoi_ladder_done(const tuo_tx *tx) {
    return tx->tuoi_seg_count ? tx->tuoi_next_seg == tx->tuoi_seg_count : tuo_gso_remaining(&tx->tuoi_gso) == 0;
}

TUO_API size_t tuo_tx_remaining(const tuo_tx *tx) {
    uint32_t segs = tx->tuoi_seg_count - tx->tuoi_next_seg, count = 0, by_segs = 0, by_len = 0, len, unit_len;
    if (tx->tuoi_seg_count == 0) return tuo_gso_remaining(&tx->tuoi_gso);
    if (segs == 0) return 0;
    len = tx->tuoi_info.payload_len - tx->tuoi_next_seg * tx->tuoi_gso_size;
    if (tx->tuoi_first_alone && tx->tuoi_next_seg == 0) {
        segs--;
        len -= tx->tuoi_gso_size;
        count++;
    }
    unit_len = tx->tuoi_unit_segs * tx->tuoi_gso_size; /* at most payload_max; not used if that takes all */
    if (segs > tx->tuoi_segs_max) by_segs = (segs - tx->tuoi_segs_max - 1) / tx->tuoi_unit_segs + 1;
    if (len > tx->tuoi_payload_max) by_len = (len - tx->tuoi_payload_max - 1) / unit_len + 1;
    return (size_t)count + (by_segs > by_len ? by_segs : by_len) + 1;
}

TUO_API tuo_result tuo_tx_next(tuo_tx *tx, uint8_t *header, tuo_tx_packet *packet) {
    tuo_gso *const gso = &tx->tuoi_gso;
    if (tuoi_ladder_done(tx)) return TUO_DONE;
    if (tx->tuoi_frags_max && tuoi_ladder_pieces(tx) > tx->tuoi_frags_max) return TUO_E_UNSUPPORTED;
    TUO_MEMSET(packet, 0, sizeof *packet);
    if (tx->tuoi_seg_count) {
        const tuoi_ladder_unit unit = tuoi_ladder_unit_next(tx);
        const uint32_t hdr_len = tx->tuoi_info.payload_off;
        uint8_t *const hdr = header ? header : gso->tuoi_hdr;
        if (header) tuoi_copy_header(header, gso->tuoi_hdr, hdr_len);
        tuoi_ladder_stamp(tx, hdr, &unit, packet);
        tuoi_ladder_add(packet, hdr, hdr_len);
        tuoi_ladder_add(packet, gso->tuoi_pkt + hdr_len + unit.off, unit.len);
        tx->tuoi_next_seg += unit.segs;
    } else {
        tuo_segment segment;
        size_t i;
        (void)!tuo_gso_next(gso, header, &segment); /* something is left */
        if (tuoi_ladder_addresses_apart(tx)) {
            tuoi_ladder_add(packet, gso->tuoi_pkt - TUOI_VLAN_LEN, TUOI_ETH_TYPE);
            segment.iov[0].base = (const uint8_t *)segment.iov[0].base + TUOI_ETH_TYPE;
            segment.iov[0].len -= TUOI_ETH_TYPE;
        }
        for (i = 0; i < segment.iov_count; i++) tuoi_ladder_add(packet, segment.iov[i].base, segment.iov[i].len);
        tuoi_ladder_describe_gso(tx, packet);
    }
    tuoi_ladder_describe_frame(tx, packet);
    return TUO_OK;
}

TUO_API tuo_result tuo_tx_next_in_place(tuo_tx *tx, void *pkt, tuo_tx_packet *packet) {
    tuo_gso *const gso = &tx->tuoi_gso;
    uint8_t *bytes;
    if (!tuoi_gso_same_packet(gso, pkt, &bytes)) return TUO_E_INVALID;
    if (tuoi_ladder_done(tx)) return TUO_DONE;
    TUO_MEMSET(packet, 0, sizeof *packet);
    if (tx->tuoi_seg_count) {
        const tuoi_ladder_unit unit = tuoi_ladder_unit_next(tx);
        const uint32_t hdr_len = tx->tuoi_info.payload_off;
        tuoi_copy_header(bytes + unit.off, gso->tuoi_hdr, hdr_len); /* ends where the payload starts */
        tuoi_ladder_stamp(tx, bytes + unit.off, &unit, packet);
        tuoi_ladder_add(packet, bytes + unit.off, (size_t)hdr_len + unit.len);
        tx->tuoi_next_seg += unit.segs;
    } else {
        tuo_buf segment;
        if (tuoi_ladder_addresses_apart(tx)) TUO_MEMMOVE(bytes, bytes - TUOI_VLAN_LEN, TUOI_ETH_TYPE);
        (void)!tuo_gso_next_in_place(gso, pkt, &segment); /* something is left */
        tuoi_ladder_add(packet, segment.data, segment.len);
        tuoi_ladder_describe_gso(tx, packet);
    }
    tuoi_ladder_describe_frame(tx, packet);
    return TUO_OK;
}

/* --- bursts --- */

/* Both queues are rings over slots of the caller. */
static size_t tuoi_ring_at(size_t head, size_t off, size_t capacity) {
    return off < capacity - head ? head + off : off - (capacity - head);
}

TUO_API tuo_result tuo_tx_queue_init(tuo_tx_queue *queue, void **slots, size_t slot_count, tuo_send_batch send,
                                     void *user) {
    if (!slots || slot_count == 0 || !send) return TUO_E_INVALID;
    TUO_MEMSET(queue, 0, sizeof *queue);
    queue->tuoi_send = send;
    queue->tuoi_user = user;
    queue->tuoi_slots = slots;
    queue->tuoi_capacity = slot_count;
    return TUO_OK;
}

TUO_API tuo_result tuo_tx_queue_flush(tuo_tx_queue *queue) {
    while (queue->tuoi_count) {
        const size_t to_end = queue->tuoi_capacity - queue->tuoi_head; /* one offer is contiguous */
        const size_t offered = queue->tuoi_count < to_end ? queue->tuoi_count : to_end;
        const size_t claimed = queue->tuoi_send(queue->tuoi_user, queue->tuoi_slots + queue->tuoi_head, offered);
        const size_t taken = claimed < offered ? claimed : offered;
        queue->tuoi_head = tuoi_ring_at(queue->tuoi_head, taken, queue->tuoi_capacity);
        queue->tuoi_count -= taken;
        if (claimed > offered) return TUO_E_BUFFER;
        if (taken == 0) return TUO_AGAIN; /* fewer than offered is no end: some drivers take a few at a time */
    }
    return TUO_OK;
}

TUO_API tuo_result tuo_tx_queue_push(tuo_tx_queue *queue, void *packet) {
    if (queue->tuoi_count == queue->tuoi_capacity) {
        const tuo_result result = tuo_tx_queue_flush(queue);
        if (result < 0) return result;
        if (queue->tuoi_count == queue->tuoi_capacity) return TUO_AGAIN;
    }
    queue->tuoi_slots[tuoi_ring_at(queue->tuoi_head, queue->tuoi_count, queue->tuoi_capacity)] = packet;
    queue->tuoi_count++;
    return TUO_OK;
}

TUO_API size_t tuo_tx_queue_count(const tuo_tx_queue *queue) { return queue->tuoi_count; }

TUO_API void *tuo_tx_queue_take(tuo_tx_queue *queue) {
    void *packet;
    if (queue->tuoi_count == 0) return NULL;
    packet = queue->tuoi_slots[queue->tuoi_head];
    queue->tuoi_head = tuoi_ring_at(queue->tuoi_head, 1, queue->tuoi_capacity);
    queue->tuoi_count--;
    return packet;
}

TUO_API tuo_result tuo_rx_queue_init(tuo_rx_queue *queue, tuo_rx_packet *slots, size_t slot_count, tuo_recv_batch recv,
                                     void *user) {
    if (!recv || (!slots && slot_count)) return TUO_E_INVALID;
    TUO_MEMSET(queue, 0, sizeof *queue);
    queue->tuoi_recv = recv;
    queue->tuoi_user = user;
    queue->tuoi_slots = slots;
    queue->tuoi_capacity = slot_count;
    return TUO_OK;
}

TUO_API tuo_result tuo_rx_queue_inject(tuo_rx_queue *queue, const tuo_rx_packet *packet) {
    if (queue->tuoi_count == queue->tuoi_capacity) return TUO_E_NOSPACE;
    queue->tuoi_slots[tuoi_ring_at(queue->tuoi_head, queue->tuoi_count, queue->tuoi_capacity)] = *packet;
    queue->tuoi_count++;
    return TUO_OK;
}

TUO_API size_t tuo_rx_queue_batch(tuo_rx_queue *queue, tuo_rx_packet *packets, size_t count) {
    size_t n = 0, claimed;
    while (n < count && queue->tuoi_count) {
        packets[n++] = queue->tuoi_slots[queue->tuoi_head];
        queue->tuoi_head = tuoi_ring_at(queue->tuoi_head, 1, queue->tuoi_capacity);
        queue->tuoi_count--;
    }
    if (n == count) return n;
    claimed = queue->tuoi_recv(queue->tuoi_user, packets + n, count - n);
    return claimed < count - n ? n + claimed : count;
}

/* ----------------------------------------------------------------------------------- >>udp-plan */
/* Knows lengths and keys only. The slots of each key are linked first. Then each train is cut off the
   front of the list of its key. */

static tuo_udp_limits tuoi_udp_limits_of(const tuo_udp_limits *limits) {
    tuo_udp_limits known = { 0, 0, 0 };
    if (limits) known = *limits;
    tuoi_default32(&known.max_segs, 64);
    tuoi_default32(&known.max_bytes, 65000);
    known.max_segs = tuoi_min32(known.max_segs, TUOI_UDP_SEGS_MAX);
    known.max_bytes = tuoi_min32(known.max_bytes, TUOI_UDP_PAYLOAD_MAX);
    return known;
}

/* open[key]: the first slot of the key, or -1; next: the slot behind. A key out of range has no list. */
static void tuoi_udp_link(tuo_udp_slot *slots, size_t count, int32_t *open, size_t key_count) {
    size_t i;
    for (i = 0; i < key_count; i++) open[i] = -1;
    for (i = count; i > 0; i--) {
        tuo_udp_slot *const slot = &slots[i - 1];
        TUO_ASSERT(slot->key < key_count);
        slot->next = -1;
        if (slot->key >= key_count) continue;
        slot->next = open[slot->key];
        open[slot->key] = (int32_t)(i - 1);
    }
}

/* May a datagram of len bytes be the next of a train that has no shorter one yet? */
static int tuoi_udp_fits(const tuo_udp_limits *limits, const tuo_udp_train *train, uint32_t len) {
    return train->count < limits->max_segs && len != 0 && len <= train->seg_len &&
           (uint64_t)train->len + len <= limits->max_bytes;
}

/* The longest train that begins with slot *head. *head becomes the slot behind its last. */
static tuo_udp_train tuoi_udp_cut(const tuo_udp_limits *limits, tuo_udp_slot *slots, int32_t *head) {
    const uint32_t seg_len = slots[*head].len;
    tuo_udp_train train = { *head, 1, seg_len, seg_len };
    tuo_udp_slot *last = &slots[*head];
    while (last->len == seg_len && last->next >= 0 && tuoi_udp_fits(limits, &train, slots[last->next].len)) {
        last = &slots[last->next];
        train.count++;
        train.len += last->len;
    }
    if (limits->no_equal_tail && last->len == seg_len) {
        last = &slots[*head];
        train.count = 1;
        train.len = seg_len;
    }
    *head = last->next;
    last->next = -1;
    return train;
}

TUO_API size_t tuo_udp_plan(const tuo_udp_limits *limits, tuo_udp_slot *slots, size_t count, int32_t *open,
                            size_t key_count, tuo_udp_train *trains) {
    const tuo_udp_limits known = tuoi_udp_limits_of(limits);
    size_t i, train_count = 0;
    TUO_ASSERT(count <= 0x7FFFFFFF);
    tuoi_udp_link(slots, count, open, key_count);
    for (i = 0; i < count; i++) {
        int32_t alone = (int32_t)i;
        int32_t *const head = slots[i].key < key_count ? &open[slots[i].key] : &alone;
        if (*head == (int32_t)i) trains[train_count++] = tuoi_udp_cut(&known, slots, head);
    }
    return train_count;
}

/* -------------------------------------------------------------------------------------- >>names */
/* The X-macro lists as strings, and what a caller without a C parser asks. */

TUO_API const char *tuo_result_name(tuo_result result) {
    switch ((int)result) {
#define TUOI_X(name, value, text) \
    case TUO_##name: return #name;
        TUO_RESULTS(TUOI_X)
#undef TUOI_X
        default: return "?";
    }
}

TUO_API const char *tuo_result_text(tuo_result result) {
    switch ((int)result) {
#define TUOI_X(name, value, text) \
    case TUO_##name: return text;
        TUO_RESULTS(TUOI_X)
#undef TUOI_X
        default: return "?";
    }
}

typedef struct tuoi_verdict_row {
    const char *name, *text;
} tuoi_verdict_row;

static const tuoi_verdict_row *tuoi_verdict_of(tuo_verdict verdict) {
    static const tuoi_verdict_row rows[] = {
#define TUOI_X(name, text, source) { #name, text },
        TUO_VERDICTS(TUOI_X)
#undef TUOI_X
        { "?", "?" }
    };
    return &rows[(unsigned)verdict < (unsigned)TUO_V_COUNT ? (unsigned)verdict : (unsigned)TUO_V_COUNT];
}

TUO_API const char *tuo_verdict_name(tuo_verdict verdict) { return tuoi_verdict_of(verdict)->name; }
TUO_API const char *tuo_verdict_text(tuo_verdict verdict) { return tuoi_verdict_of(verdict)->text; }

TUO_API int tuo_version(void) { return TUO_VERSION; }
TUO_API unsigned tuo_simd_flag(tuo_simd level) { return TUO_F_SIMD(level); }

TUO_API size_t tuo_sizeof(tuo_size which) {
    static const uint16_t sizes[TUO_SIZE_COUNT] = {
        sizeof(tuo_vnet_hdr),     sizeof(tuo_pkt_info),    sizeof(tuo_flow_key),
        sizeof(tuo_flow_evicted), sizeof(tuo_flow_stats),  sizeof(tuo_gro_desc),
        sizeof(tuo_gro_stats),    sizeof(tuo_superpacket), sizeof(tuo_segment),
        sizeof(tuo_gso),          sizeof(tuo_caps),        sizeof(tuo_tx),
        sizeof(tuo_tx_packet),    sizeof(tuo_tx_queue),    sizeof(tuo_rx_packet),
        sizeof(tuo_rx_queue),     sizeof(tuo_udp_limits),  sizeof(tuo_udp_slot),
        sizeof(tuo_udp_train),
#ifdef TUNOFFLOAD_TUN
        sizeof(tuo_tun_desc),     sizeof(tuo_tun_info),    sizeof(tuo_tun_rx_stats),
        sizeof(tuo_tun_tx_stats), sizeof(tuo_tun_parts),   sizeof(tuo_tun_probe_report),
        sizeof(tuo_tun_failure),
#else
        0, 0, 0, 0, 0, 0, 0,
#endif
#ifdef TUNOFFLOAD_UDP
        sizeof(tuo_udp_desc),     sizeof(tuo_udp_peer),    sizeof(tuo_udp_datagram),
        sizeof(tuo_udp_lost),     sizeof(tuo_udp_info),    sizeof(tuo_udp_rx_stats),
        sizeof(tuo_udp_tx_stats),
#else
        0, 0, 0, 0, 0, 0, 0,
#endif
    };
    return (unsigned)which < (unsigned)TUO_SIZE_COUNT ? sizes[which] : 0;
}

#if defined(TUNOFFLOAD_TUN) || defined(TUNOFFLOAD_UDP)
/* -------------------------------------------------------------------------------------- >>linux */
/* From here on there are system calls. This section holds what the TUN device and the UDP socket
   share: includes, memory, descriptors, waiting, rounds of reading. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<sys/random.h>) && (!defined(__ANDROID_API__) || __ANDROID_API__ >= 28)
#include <sys/random.h>
#define TUOI_GETRANDOM(bytes, len) getrandom(bytes, len, 1 /* GRND_NONBLOCK */)
#endif
#endif
#ifndef TUOI_GETRANDOM /* glibc before 2.25, musl before 1.1.20 */
#define TUOI_GETRANDOM(bytes, len) (-1)
#endif

#if defined(TUO_CALLOC) || defined(TUO_FREE)
#if !defined(TUO_CALLOC) || !defined(TUO_FREE)
#error "tunoffload.h: define both TUO_CALLOC and TUO_FREE, or neither"
#endif
#else
#include <stdlib.h>
#define TUO_CALLOC calloc
#define TUO_FREE free
#endif

/* 0 or more, or -errno. */
static int tuoi_sys(long returned) { return returned < 0 ? -errno : (int)returned; }

static void tuoi_close_fd(int *fd) {
    if (*fd >= 0) (void)close(*fd);
    *fd = -1;
}

/* A number that an attacker cannot guess. Without getrandom() (Linux 3.17) it is made of an address
   and of the clock: an attacker who knows both can guess it. */
static uint64_t tuoi_random(const void *address) {
    uint64_t seed = 0;
    if (TUOI_GETRANDOM(&seed, sizeof seed) == (long)sizeof seed) return seed;
    seed = (uint64_t)(uintptr_t)address ^ (uint64_t)time(NULL) << 24;
    return tuoi_mix64(&seed);
}

/* Strict C99 hides O_CLOEXEC: then a child that is started at that moment inherits the
   descriptor. */
#ifdef O_CLOEXEC
#define TUOI_O_CLOEXEC O_CLOEXEC
#else
#define TUOI_O_CLOEXEC 0
#endif
static TUOI_UNUSED int tuoi_fd_flags(int fd) { /* of the TUN device only */
    const int flags = tuoi_sys(fcntl(fd, F_GETFL)),
              returned = flags < 0 ? flags : tuoi_sys(fcntl(fd, F_SETFD, FD_CLOEXEC));
    return returned < 0 ? returned : tuoi_sys(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

/* Are two sockets in the same network namespace? Linux 5.14; before, this function says so of any. */
static int tuoi_same_netns(int a, int b) {
    uint64_t cookies[2] = { 0, 0 };
    socklen_t len = sizeof cookies[0];
    (void)getsockopt(a, SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, &cookies[0], &len);
    len = sizeof cookies[1];
    (void)getsockopt(b, SOL_SOCKET, 71, &cookies[1], &len);
    return cookies[0] == cookies[1];
}

/* A descriptor that can be waited for, and the eventfd that ends the waiting. */
typedef struct tuoi_waiter {
    int fd, wake_fd;
    int closing;           /* atomic */
    int inside_count;      /* atomic: calls in progress */
} tuoi_waiter;

/* Every call that may wait or touches a descriptor stands between these two, so that closing can
   wait for it. */
static int tuoi_enter(tuoi_waiter *waiter) {
    __atomic_add_fetch(&waiter->inside_count, 1, __ATOMIC_SEQ_CST);
    return !__atomic_load_n(&waiter->closing, __ATOMIC_SEQ_CST);
}

static tuo_result tuoi_leave(tuoi_waiter *waiter, tuo_result result) {
    __atomic_sub_fetch(&waiter->inside_count, 1, __ATOMIC_SEQ_CST);
    return result;
}

static void tuoi_wake(const tuoi_waiter *waiter) {
    const uint64_t one = 1;
    const long ignored = write(waiter->wake_fd, &one, sizeof one); /* fails only if it is set 2^64-2 times already */
    (void)ignored;
}

static void tuoi_wake_clear(const tuoi_waiter *waiter) {
    uint64_t count;
    const long ignored = read(waiter->wake_fd, &count, sizeof count);
    (void)ignored;
}

/* Ends the calls in progress; none begins any more. */
static void tuoi_close_waiter(tuoi_waiter *waiter) {
    __atomic_store_n(&waiter->closing, 1, __ATOMIC_SEQ_CST);
    tuoi_wake(waiter);
    while (__atomic_load_n(&waiter->inside_count, __ATOMIC_SEQ_CST) != 0) (void)poll(NULL, 0, 1);
}

/* poll() says EINVAL if RLIMIT_NOFILE is below count. Callers take EINVAL for news of a packet. */
static int tuoi_poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
    const int returned = tuoi_sys(poll(fds, count, timeout_ms));
    return returned == -EINVAL ? -EMFILE : returned;
}

/* 0: ready; -EAGAIN after the time; -EINTR: a signal came; -ECANCELED: woken. */
static int tuoi_wait(const tuoi_waiter *waiter, int for_writing, int timeout_ms) {
    struct pollfd fds[2];
    int returned;
    fds[0].fd = waiter->fd;
    fds[0].events = for_writing ? POLLOUT : POLLIN;
    fds[1].fd = waiter->wake_fd;
    fds[1].events = POLLIN;
    returned = tuoi_poll(fds, 2, timeout_ms);
    if (returned < 0) return returned;
    if (fds[1].revents) return -ECANCELED;
    return returned == 0 ? -EAGAIN : 0; /* POLLERR and POLLHUP: the call itself says what is wrong */
}

/* 0: ready now; -EAGAIN, -EINTR. Does not look at the wake-up: what can be done without waiting is
   done. */
static TUOI_UNUSED int tuoi_ready(const tuoi_waiter *waiter, int for_writing) {
    struct pollfd fd;
    int returned;
    fd.fd = waiter->fd;
    fd.events = for_writing ? POLLOUT : POLLIN;
    returned = tuoi_poll(&fd, 1, 0);
    return returned == 0 ? -EAGAIN : returned < 0 ? returned : 0;
}

/* A round of reading: ends after so many packets or bytes, so that the other side gets its turn; or
   before a read that would most likely find nothing, as it is after one plain packet if the last
   such read met EAGAIN. Every eighth time it is tried all the same. */
enum { TUOI_ROUND_PACKETS = 128, TUOI_ROUND_BYTES = 256 * 1024, TUOI_ROUND_RETRY = 8 };
typedef struct tuoi_round {
    uint32_t packets_max;
    uint32_t packets, bytes;    /* handed out in this round */
    uint8_t reads;              /* in this round: 0, 1, 2 or more */
    uint8_t plain;              /* the first read gave one packet */
    uint8_t skipped;            /* reads left out in a row; 0: the last second read found something */
} tuoi_round;

static void tuoi_round_begin(tuoi_round *round) {
    round->packets = round->bytes = 0;
    round->reads = round->plain = 0;
}

/* Is it over, so that the next read belongs to the next round? */
static int tuoi_round_over(tuoi_round *round) {
    if (round->packets >= round->packets_max || round->bytes >= TUOI_ROUND_BYTES) return 1;
    if (round->reads != 1 || !round->plain || round->skipped == 0) return 0;
    if (round->skipped < TUOI_ROUND_RETRY) {
        round->skipped++;
        return 1;
    }
    round->skipped = 1; /* try it; found_nothing or took says what came of it */
    return 0;
}

static void tuoi_round_found_nothing(tuoi_round *round) {
    if (round->reads == 1 && round->plain) round->skipped = 1;
    tuoi_round_begin(round);
}

/* One read gave count packets. */
static void tuoi_round_read(tuoi_round *round, size_t count) {
    if (round->reads == 0) round->plain = count == 1;
    if (round->reads == 1 && round->plain) round->skipped = 0;
    if (round->reads < 2) round->reads++;
}

static void tuoi_round_took(tuoi_round *round, size_t len) {
    round->packets++;
    round->bytes += (uint32_t)len;
}

#endif /* TUNOFFLOAD_TUN || TUNOFFLOAD_UDP */

#ifdef TUNOFFLOAD_TUN
/* ---------------------------------------------------------------------------------- >>linux-tun */
/* A queue has a receiving and a sending half that share nothing but the descriptor, so that one
   thread may be in each. Descriptors that this file opens are non-blocking; waiting is done by
   poll() with the wake-up descriptor, so that a waiting call can always be ended. Contract: K 1,
   K 2, K 3; linux drivers/net/tun.c. */

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif
#ifndef TUNSETVNETLE
#define TUNSETVNETLE _IOW('T', 220, int)
#define TUNGETVNETLE _IOR('T', 221, int)
#endif
#ifndef TUNGETVNETBE
#define TUNGETVNETBE _IOR('T', 223, int)
#endif

enum {
    TUOI_RX_LEN = 65535 + 64,     /* IP packet and an Ethernet header with tags (K 3.1, 3.2) */
    TUOI_RX_ROOM = 64,            /* bytes in front of a packet of tuo_tun_next that may be written to */
    TUOI_PUSH_BYTES = 256 * 1024,
    TUOI_PUSH_BYTES_MIN = 70000,  /* a packet of any size */
    TUOI_PATH_LEN = 128,
    TUOI_TX_IOV_MAX = 1024,       /* IOV_MAX of Linux, uapi/linux/uio.h UIO_MAXIOV */
    TUOI_RECV_IOV_MAX = 15,
    TUOI_RECV_CAPACITY_MAX = 1 << 30,
    TUOI_READ_TRIES = 16,         /* unusable packets skipped in one call */
    TUOI_FRAGS_MAX = 17,          /* IFF_NAPI_FRAGS: pieces behind the first; bytes of each (K 2.12) */
    TUOI_FRAG_LEN = 4096,
    TUOI_FRAGS_BYTES = 65000,     /* of the IP packet: less than the kernel takes on any processor */
    TUOI_SIOCGSKNS = 0x894C,      /* linux/sockios.h */
    TUOI_FEATURES = 4             /* what refusals switch off: TCP4, TCP6, UDP, tunnels */
};

TUOI_STATIC_ASSERT(iov_is_iovec, sizeof(tuo_iov) == sizeof(struct iovec) &&
                   offsetof(tuo_iov, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(tuo_iov, len) == offsetof(struct iovec, iov_len));

/* struct ifreq as far as TUN needs it; <net/if.h> hides it from strict C99 and quarrels with
   <linux/if.h>. */
typedef struct tuoi_ifreq {
    char name[16];
    union {
        short flags;
        int number;           /* index, MTU, length of the queue */
        char room[24];
        void *data; /* so that the alignment is that of struct ifreq */
    } u;
} tuoi_ifreq;

/* What the sending half still has to write. */
typedef enum tuoi_pending {
    TUOI_PENDING_NONE,
    TUOI_PENDING_EMITTED, /* sp, as emitted */
    TUOI_PENDING_SINGLES, /* sp was refused: its packets from next_user on */
    TUOI_PENDING_SPLIT    /* segments of the superpacket in scratch */
} tuoi_pending;

/* A protocol that can be switched off by refusals. */
typedef struct tuoi_feature {
    uint32_t refused;     /* in a row */
    uint8_t off;
    uint64_t off_since;   /* stats.tx_packets then */
} tuoi_feature;

typedef struct tuoi_tun_rx {
    tuo_gso gso;          /* of the superpacket in bytes */
    int splitting;
    size_t last_count;    /* segments of the last superpacket */
    int last_errno;       /* atomic, for tuo_tun_query_info */
    tuoi_round round;     /* of tuo_tun_next */
    tuo_tun_rx_stats stats;
    uint8_t bytes[TUOI_RX_ROOM + TUOI_RX_LEN];
} tuoi_tun_rx;

typedef struct tuoi_tun_tx {
    tuo_gro *gro;
    tuo_gro_desc gro_desc; /* the user's; features that are off come on top */
    tuo_buf_ops ops;       /* of the packets held */
    size_t offset;
    uint8_t *pushed;       /* memory of what is pushed: a tuo_buf, its bytes, and so on */
    size_t pushed_len, pushed_capacity;
    int own;               /* what is held is in that memory or scratch, not in buffers of the caller's */
    int recheck;           /* buffers of the caller's are held since an earlier call */
    void **held;           /* room for max_packets buffers */
    tuo_result failed;     /* what tuo_tun_push met, for tuo_tun_flush */
    tuoi_pending pending;
    tuo_superpacket sp;
    size_t next_user;
    int no_memory;         /* the last write failed for want of memory */
    int innocent;          /* TUOI_PENDING_SINGLES: so did the write of sp */
    tuo_gso gso;
    tuo_segment segment;   /* of gso, being written */
    int segment_ready;
    tuoi_feature features[TUOI_FEATURES];
    int last_errno;        /* atomic, for tuo_tun_query_info */
    tuo_tun_tx_stats stats;
    uint8_t scratch[TUOI_RX_LEN];
} tuoi_tun_tx;

struct tuo_tun {
    tuoi_waiter waiter;    /* fd: the queue */
    int netlink_fd;        /* negative: why there is none */
    uint32_t netlink_seq;  /* of the last request */
    int polls_first;       /* the descriptor blocks: ask poll() before each call */
    int is_tap;
    int knows_uso;         /* the kernel has the UDP_L4 type */
    int napi_frags;        /* IFF_NAPI_FRAGS */
    uint32_t vnet_hdr_len;
    uint32_t offloads;     /* atomic */
    tuo_order order;
    tuo_simd simd;         /* for receiving; GRO has its own */
    tuo_tun_desc desc;     /* strings not kept */
    char name[16];
    char path[TUOI_PATH_LEN];
    int borrowed;          /* the descriptor is the caller's */
    int adopted;           /* opened by another program, perhaps in another namespace */
    int attached_as;       /* flags of TUNSETIFF */
    int if_index;          /* when it was opened; 0: not yet known; -1: not known */
    tuo_tun_step step;     /* of opening, at which it failed */
    tuoi_tun_rx rx;
    tuoi_tun_tx tx;
};

/* --- system calls --- */

static int tuoi_ioctl(int fd, unsigned long request, void *argument) { return tuoi_sys(ioctl(fd, request, argument)); }

/* Does the answer come from a kernel, or from something that stands for one, that does not know the
   request? */
static int tuoi_unknown(int returned) {
    return returned == -ENOTTY || returned == -EINVAL || returned == -EOPNOTSUPP || returned == -ENOSYS;
}

/* --- why it failed --- */

/* What errno has no number for. As -code where -errno is returned. */
enum {
    TUOI_WHY_FIRST = 10000, /* above every errno */
    TUOI_WHY_ELSEWHERE = TUOI_WHY_FIRST, TUOI_WHY_SECRET, TUOI_WHY_NO_NETLINK, TUOI_WHY_DENIED,
    TUOI_WHY_HAS_VNET, TUOI_WHY_ODD_VNET, TUOI_WHY_HAS_PI, TUOI_WHY_OTHER_FLAGS,
    TUOI_WHY_IS_TAP, TUOI_WHY_IS_TUN, TUOI_WHY_IS_MULTI, TUOI_WHY_IS_SINGLE, TUOI_WHY_NO_TUN
};

/* The first row that fits counts. */
typedef struct tuoi_why {
    int code, error;       /* error: the errno that the caller sees */
    unsigned step;         /* only then; 0: at any */
    const char *words;
} tuoi_why;

static const tuoi_why *tuoi_why_of(int code, tuo_tun_step step) {
    static const tuoi_why rows[] = {
        { TUOI_WHY_ELSEWHERE, EOPNOTSUPP, 0, "is in another network namespace" },
        { TUOI_WHY_SECRET, EOPNOTSUPP, 0, "perhaps in another network namespace (to ask needs CAP_NET_ADMIN)" },
        { TUOI_WHY_NO_NETLINK, EOPNOTSUPP, 0, "cannot be set with no_netlink" },
        { TUOI_WHY_DENIED, EOPNOTSUPP, 0, "cannot be set: AF_NETLINK sockets are denied" },
        { TUOI_WHY_HAS_VNET, EOPNOTSUPP, 0, "has a vnet header, which no_vnet_hdr excludes" },
        { TUOI_WHY_ODD_VNET, EOPNOTSUPP, 0, "the header has not 10, 12, 20 or 24 bytes" },
        { TUOI_WHY_HAS_PI, EOPNOTSUPP, 0, "has packet information in front of packets (no IFF_NO_PI)" },
        { TUOI_WHY_OTHER_FLAGS, EOPNOTSUPP, 0, "the queue has other flags than the first one" },
        { TUOI_WHY_IS_TAP, EINVAL, 0, "exists, and is a TAP device" },
        { TUOI_WHY_IS_TUN, EINVAL, 0, "exists, and is a TUN device" },
        { TUOI_WHY_IS_MULTI, EINVAL, 0, "exists, and is multi-queue" },
        { TUOI_WHY_IS_SINGLE, EINVAL, 0, "exists, and is not multi-queue" },
        { TUOI_WHY_NO_TUN, EINVAL, 0, "exists, and is neither TUN nor TAP" },
        { ENOENT, ENOENT, TUO_TUN_STEP_PATH, "does not exist (load the module tun, or give the container the device)" },
        { ENODEV, ENODEV, TUO_TUN_STEP_PATH, "no driver (load the module tun)" },
        { EACCES, EACCES, TUO_TUN_STEP_PATH, "no right to open it" },
        { EPERM, EPERM, TUO_TUN_STEP_PATH, "this container may not open it" },
        { EBUSY, EBUSY, TUO_TUN_STEP_ATTACH, "in use by another process" },
        { EPERM, EPERM, TUO_TUN_STEP_ATTACH, "needs CAP_NET_ADMIN, or the right of its owner" },
        { EINVAL, EINVAL, TUO_TUN_STEP_ATTACH, "not a name for an interface, or exists with other flags" },
        { E2BIG, E2BIG, TUO_TUN_STEP_ATTACH, "has no room for another queue" },
        { EBADFD, EBADFD, TUO_TUN_STEP_DESCRIPTOR, "is not attached to a device" },
        { EBADF, EBADF, TUO_TUN_STEP_DESCRIPTOR, "is not open" },
        { ENOTTY, ENOTTY, TUO_TUN_STEP_DESCRIPTOR, "is no TUN device" },
        { EINVAL, EINVAL, TUO_TUN_STEP_MTU, "out of range" },
        { ERANGE, ERANGE, TUO_TUN_STEP_TX_QUEUE_LEN, "out of range" },
        { EACCES, EACCES, TUO_TUN_STEP_ADDRESS6, "IPv6 is off (disable_ipv6)" },
        { EOPNOTSUPP, EOPNOTSUPP, TUO_TUN_STEP_ADDRESS6, "this kernel has no IPv6" },
        { EAFNOSUPPORT, EAFNOSUPPORT, TUO_TUN_STEP_ADDRESS6, "this kernel has no IPv6" },
        { EINVAL, EINVAL, TUO_TUN_STEP_ADDRESS6, "the MTU is below 1280, which IPv6 needs" },
        { EADDRNOTAVAIL, EADDRNOTAVAIL, TUO_TUN_STEP_ADDRESS6, "is no address of a host" },
        { ENOBUFS, ENOBUFS, 0, "the kernel's answer is lost" },
        { EPERM, EPERM, 0, "needs CAP_NET_ADMIN" },
        { EMFILE, EMFILE, 0, "too many descriptors are open" },
        { ENFILE, ENFILE, 0, "too many descriptors are open in the system" },
        { ENOMEM, ENOMEM, 0, "no memory" },
        { EBADFD, EBADFD, 0, "was deleted" },
        { ENOTTY, ENOTTY, 0, "not known to this kernel" },
        { EOPNOTSUPP, EOPNOTSUPP, 0, "not known to this kernel" },
    };
    size_t i;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code == code && (rows[i].step == 0 || rows[i].step == (unsigned)step)) return &rows[i];
    }
    return NULL;
}

/* The errno that a caller sees. */
static int tuoi_why_errno(int returned) {
    const tuoi_why *const why = returned <= -TUOI_WHY_FIRST ? tuoi_why_of(-returned, TUO_TUN_STEP_NONE) : NULL;
    return why ? why->error : -returned;
}

static int tuoi_why_unsupported(int returned) { return tuoi_why_errno(returned) == EOPNOTSUPP; }

static void tuoi_say(tuo_tun_failure *failure, const char *words) {
    size_t len = 0;
    while (failure->text[len]) len++;
    while (*words && len < sizeof failure->text - 1) failure->text[len++] = *words++;
    failure->text[len] = 0;
}

static void tuoi_say_number(tuo_tun_failure *failure, uint32_t number) {
    char digits[11];
    size_t at = sizeof digits - 1;
    digits[at] = 0;
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    tuoi_say(failure, digits + at);
}

/* words; without, those of the table; without, the errno. */
static void tuoi_say_why(tuo_tun_failure *failure, int code, const char *words) {
    const tuoi_why *const why = tuoi_why_of(code, failure->step);
    tuoi_say(failure, ": ");
    if (words || why) {
        tuoi_say(failure, words ? words : why->words);
    } else {
        tuoi_say(failure, "errno ");
        tuoi_say_number(failure, (uint32_t)code);
    }
}

static void tuoi_say_nothing(tuo_tun_failure *failure) {
    if (failure) TUO_MEMSET(failure, 0, sizeof *failure);
}

/* What failed before there was a queue. */
static void tuoi_say_early(tuo_tun_failure *failure, tuo_tun_step step, const char *subject, int error,
                           const char *words) {
    if (!failure) return;
    tuoi_say_nothing(failure);
    failure->step = step;
    failure->error = error;
    tuoi_say(failure, subject);
    tuoi_say_why(failure, error, words);
}

/* A step in texts, how it is asked for, and how it is set. */
typedef struct tuoi_step {
    const char *label;
    unsigned ask;             /* ioctl by name; linux/sockios.h */
    uint16_t attribute;       /* of rtnetlink */
} tuoi_step;

static const tuoi_step *tuoi_step_of(tuo_tun_step step) {
    static const tuoi_step rows[] = {
        { "", 0, 0 }, { "", 0, 0 }, { "", 0, 0 }, { "", 0, 0 }, /* none, desc, memory, path */
        { "netlink", 0, 0 },
        { "", 0, 0 }, { "", 0, 0 }, /* attach, descriptor */
        { "vnet header and offloads", 0, 0 },
        { "owner ", 0, 0 }, { "group ", 0, 0 }, { "persist", 0, 0 },
        { "MTU ", 0x8921 /* SIOCGIFMTU */, IFLA_MTU },
        { "tx_queue_len ", 0x8942 /* SIOCGIFTXQLEN */, IFLA_TXQLEN },
        { "IPv4 address ", 0, 0 }, { "IPv6 address ", 0, 0 },
        { "up", 0x8913 /* SIOCGIFFLAGS */, 0 },
    };
    TUOI_STATIC_ASSERT(a_row_for_each_step, sizeof rows / sizeof rows[0] == TUO_TUN_STEP_UP + 1);
    return &rows[step];
}

static void tuoi_say_value(tuo_tun_failure *failure, const tuo_tun_desc *desc) {
    switch ((int)failure->step) {
        case TUO_TUN_STEP_OWNER: tuoi_say_number(failure, desc->owner); break;
        case TUO_TUN_STEP_GROUP: tuoi_say_number(failure, desc->group); break;
        case TUO_TUN_STEP_MTU: tuoi_say_number(failure, desc->mtu); break;
        case TUO_TUN_STEP_TX_QUEUE_LEN: tuoi_say_number(failure, desc->tx_queue_len); break;
        case TUO_TUN_STEP_ADDRESS4: tuoi_say(failure, desc->address4); break;
        case TUO_TUN_STEP_ADDRESS6: tuoi_say(failure, desc->address6); break;
        default: break;
    }
}

/* Opening failed at tun->step. */
static void tuoi_tun_say(const tuo_tun *tun, const tuo_tun_desc *desc, int returned) {
    tuo_tun_failure *const failure = desc->failure;
    const char *subject = tun->step == TUO_TUN_STEP_PATH ? tun->path : tun->name;
    if (!failure) return;
    tuoi_say_nothing(failure);
    failure->step = tun->step;
    failure->error = tuoi_why_errno(returned);
    if (!subject[0] && desc->name) subject = desc->name;
    if (tun->name[0] == 0 && tun->adopted) subject = "the descriptor";
    if (!subject[0]) subject = "a new device";
    tuoi_say(failure, subject);
    if (tuoi_step_of(tun->step)->label[0]) {
        tuoi_say(failure, ": ");
        tuoi_say(failure, tuoi_step_of(tun->step)->label);
        tuoi_say_value(failure, desc);
    }
    tuoi_say_why(failure, -returned, NULL);
}

/* Keeps at which step of opening a call failed. */
static int tuoi_at(tuo_tun *tun, tuo_tun_step step, int returned) {
    if (returned < 0) tun->step = step;
    return returned;
}

/* --- netlink --- */

/* One rtnetlink request. attributes: already encoded behind a body of body_len bytes. */
typedef struct tuoi_netlink {
    struct nlmsghdr header;
    uint8_t body[128];
} tuoi_netlink;

static void tuoi_netlink_begin(tuoi_netlink *request, uint16_t type, uint16_t flags, const void *body,
                               size_t body_len) {
    TUO_MEMSET(request, 0, sizeof *request);
    request->header.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + NLMSG_ALIGN(body_len));
    request->header.nlmsg_type = type;
    request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    TUO_MEMCPY(request->body, body, body_len);
}

static void tuoi_netlink_add(tuoi_netlink *request, uint16_t type, const void *value, size_t value_len) {
    uint8_t *const at = (uint8_t *)request + NLMSG_ALIGN(request->header.nlmsg_len);
    struct rtattr attribute;
    attribute.rta_type = type;
    attribute.rta_len = (uint16_t)(RTA_LENGTH(0) + value_len);
    TUO_MEMCPY(at, &attribute, sizeof attribute);
    TUO_MEMCPY(at + RTA_LENGTH(0), value, value_len);
    request->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute.rta_len));
}

/* The next message from the kernel that answers seq: its length; 0: another one; -errno. */
static int tuoi_netlink_receive(int fd, uint32_t seq, void *reply, size_t reply_cap) {
    struct sockaddr_nl from;
    struct nlmsghdr header;
    socklen_t from_len = sizeof from;
    int returned;
    TUO_MEMSET(&from, 0, sizeof from);
    do returned = tuoi_sys(recvfrom(fd, reply, reply_cap, 0, (struct sockaddr *)(void *)&from, &from_len));
    while (returned == -EINTR);
    if (returned < 0) return returned;
    if ((size_t)returned < sizeof header || from.nl_pid != 0) return 0;
    TUO_MEMCPY(&header, reply, sizeof header);
    return header.nlmsg_seq == seq ? returned : 0;
}

/* One message each way; the length of the reply, or -errno. The answer to an earlier request, which
   was not read when it came, is no reply to this one. */
enum { TUOI_NETLINK_STALE_MAX = 64 };
static int tuoi_netlink_exchange(int fd, const tuoi_netlink *request, void *reply, size_t reply_cap) {
    int returned = tuoi_sys(send(fd, request, request->header.nlmsg_len, 0)), i;
    if (returned < 0) return returned;
    for (i = 0; i < TUOI_NETLINK_STALE_MAX; i++) {
        returned = tuoi_netlink_receive(fd, request->header.nlmsg_seq, reply, reply_cap);
        if (returned != 0) return returned;
    }
    return -EPROTO;
}

/* A request that is acknowledged. */
static int tuoi_netlink_call(int fd, tuoi_netlink *request) {
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[512];
    } reply;
    int returned;
    request->header.nlmsg_flags |= NLM_F_ACK;
    returned = tuoi_netlink_exchange(fd, request, &reply, sizeof reply);
    if (returned < 0) return returned;
    if ((size_t)returned < NLMSG_HDRLEN + sizeof(int) || reply.header.nlmsg_type != NLMSG_ERROR) return -EPROTO;
    return reply.error.error;
}

/* The value of the attribute `type` in bytes[*off..end), whose place becomes *off and *end; 0 if
   there is none. */
static int tuoi_netlink_find(const uint8_t *bytes, size_t *off, size_t *end, unsigned type) {
    struct rtattr attribute;
    while (*end - *off >= sizeof attribute) {
        TUO_MEMCPY(&attribute, bytes + *off, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > *end - *off) return 0;
        if ((attribute.rta_type & 0x3FFFu) == type) {
            *end = *off + attribute.rta_len;
            *off += sizeof attribute;
            return 1;
        }
        if (RTA_ALIGN(attribute.rta_len) >= *end - *off) return 0;
        *off += RTA_ALIGN(attribute.rta_len);
    }
    return 0;
}

/* Facts about an interface from rtnetlink, which needs no right; linux if_link.h. */
enum {
    TUOI_IFLA_LINKINFO = 18, TUOI_IFLA_INFO_KIND = 1, TUOI_IFLA_INFO_DATA = 2,
    TUOI_IFLA_TUN_TYPE = 3, TUOI_IFLA_TUN_PI = 4, TUOI_IFLA_TUN_MULTI_QUEUE = 7, TUOI_IFLA_TUN_NUM_QUEUES = 8,
    TUOI_IFLA_TUN_NUM_DISABLED_QUEUES = 9
};
enum { TUOI_LINK_OFF = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct ifinfomsg)) };

/* A queue that is being opened asks for an interface by name. The reply is in its scratch memory,
   where nothing is yet; its length, or -errno. */
static int tuoi_tun_ask_link(tuo_tun *tun, const char *name) {
    struct ifinfomsg link;
    struct nlmsghdr header;
    tuoi_netlink request;
    size_t name_len = 1;
    int returned;
    if (tun->netlink_fd < 0) return tun->netlink_fd;
    while (name[name_len - 1] && name_len < sizeof tun->name) name_len++;
    TUO_MEMSET(&link, 0, sizeof link);
    tuoi_netlink_begin(&request, RTM_GETLINK, 0, &link, sizeof link);
    tuoi_netlink_add(&request, IFLA_IFNAME, name, name_len);
    request.header.nlmsg_seq = ++tun->netlink_seq;
    returned = tuoi_netlink_exchange(tun->netlink_fd, &request, tun->tx.scratch, sizeof tun->tx.scratch);
    if (returned < 0) return returned;
    TUO_MEMCPY(&header, tun->tx.scratch, sizeof header);
    return returned >= TUOI_LINK_OFF && header.nlmsg_type == RTM_NEWLINK ? returned : -ENODEV;
}

/* What the reply says of a TUN device; -1: nothing, as before Linux 4.20. */
static int tuoi_tun_link_fact(const tuo_tun *tun, int reply_len, unsigned type) {
    const uint8_t *const reply = tun->tx.scratch;
    size_t off = TUOI_LINK_OFF, end = (size_t)reply_len;
    uint32_t value;
    if (!tuoi_netlink_find(reply, &off, &end, TUOI_IFLA_LINKINFO) ||
        !tuoi_netlink_find(reply, &off, &end, TUOI_IFLA_INFO_DATA) || !tuoi_netlink_find(reply, &off, &end, type) ||
        end == off) {
        return -1;
    }
    if (end - off < sizeof value) return reply[off];
    TUO_MEMCPY(&value, reply + off, sizeof value);
    return (int)(value & 0xFFFFu);
}

static int tuoi_tun_link_is_tun(const tuo_tun *tun, int reply_len) {
    const uint8_t *const reply = tun->tx.scratch;
    size_t off = TUOI_LINK_OFF, end = (size_t)reply_len;
    return tuoi_netlink_find(reply, &off, &end, TUOI_IFLA_LINKINFO) &&
           tuoi_netlink_find(reply, &off, &end, TUOI_IFLA_INFO_KIND) && end - off >= 4 &&
           TUO_MEMCMP(reply + off, "tun", 4) == 0;
}

/* Do packets carry the 4 bytes of packet information? TUNGETIFF cannot tell: it sets IFF_NOFILTER,
   which is the same bit as IFF_NO_PI. A kernel before 4.20 does not say; then it is taken for no,
   which is what everybody uses. */
static int tuoi_tun_has_packet_info(tuo_tun *tun) {
    const int reply_len = tuoi_tun_ask_link(tun, tun->name);
    return reply_len >= 0 && tuoi_tun_link_fact(tun, reply_len, TUOI_IFLA_TUN_PI) > 0;
}

/* Queues of the multi-queue device of that name, in whatever process; -1: not known. */
static int tuoi_tun_queues(tuo_tun *tun, const char *name) {
    const int reply_len = tuoi_tun_ask_link(tun, name);
    const int queues = reply_len < 0 ? -1 : tuoi_tun_link_fact(tun, reply_len, TUOI_IFLA_TUN_NUM_QUEUES);
    const int disabled = reply_len < 0 ? 0 : tuoi_tun_link_fact(tun, reply_len, TUOI_IFLA_TUN_NUM_DISABLED_QUEUES);
    return queues < 0 ? -1 : disabled > 0 ? queues + disabled : queues;
}

/* Why did TUNSETIFF say EINVAL? */
static int tuoi_tun_clash(tuo_tun *tun, const char *name) {
    const int reply_len = tuoi_tun_ask_link(tun, name);
    int type, multi;
    if (reply_len < 0) return -EINVAL;
    if (!tuoi_tun_link_is_tun(tun, reply_len)) return -TUOI_WHY_NO_TUN;
    type = tuoi_tun_link_fact(tun, reply_len, TUOI_IFLA_TUN_TYPE);
    multi = tuoi_tun_link_fact(tun, reply_len, TUOI_IFLA_TUN_MULTI_QUEUE);
    if (type == IFF_TAP && !tun->desc.tap) return -TUOI_WHY_IS_TAP;
    if (type == IFF_TUN && tun->desc.tap) return -TUOI_WHY_IS_TUN;
    if (multi == 1 && !tun->desc.multi_queue) return -TUOI_WHY_IS_MULTI;
    if (multi == 0 && tun->desc.multi_queue) return -TUOI_WHY_IS_SINGLE;
    return -EINVAL;
}

/* --- where the device is --- */

/* The inode of the network namespace that an ioctl of the descriptor names. 0, or -errno. */
static int tuoi_netns(int fd, unsigned long request, struct stat *inode) {
    int ns = tuoi_ioctl(fd, request, NULL), returned;
    if (ns < 0) return ns;
    returned = tuoi_sys(fstat(ns, inode));
    tuoi_close_fd(&ns);
    return returned;
}

/* Is the device in the network namespace in which fd, a socket or queue, was opened? Or -errno. */
enum {
    TUOI_NS_SAME,
    TUOI_NS_OTHER,
    TUOI_NS_PERHAPS, /* the kernel cannot say. Before 5.2 it only knows where the queue was opened */
    TUOI_NS_SECRET   /* it does not say without CAP_NET_ADMIN */
};
static int tuoi_tun_netns(const tuo_tun *tun, int fd) {
    struct stat device, here;
    int returned = tuoi_netns(tun->waiter.fd, TUNGETDEVNETNS, &device);
    const int knows = !tuoi_unknown(returned);
    if (!knows) returned = tuoi_netns(tun->waiter.fd, TUOI_SIOCGSKNS, &device);
    if (returned >= 0) returned = tuoi_netns(fd, TUOI_SIOCGSKNS, &here);
    if (returned == -EPERM) return TUOI_NS_SECRET;
    if (tuoi_unknown(returned)) return TUOI_NS_PERHAPS;
    if (returned < 0) return returned;
    if (device.st_ino != here.st_ino || device.st_dev != here.st_dev) return TUOI_NS_OTHER;
    return knows ? TUOI_NS_SAME : TUOI_NS_PERHAPS;
}

/* The name of now; -EBADFD: deleted. */
static int tuoi_tun_present_name(const tuo_tun *tun, char name[16]) {
    tuoi_ifreq request;
    int returned;
    TUO_MEMSET(&request, 0, sizeof request);
    returned = tuoi_ioctl(tun->waiter.fd, TUNGETIFF, &request);
    if (returned < 0 && !tuoi_unknown(returned)) return returned;
    TUO_MEMCPY(name, returned < 0 ? tun->name : request.name, 16);
    return 0;
}

static void tuoi_ifreq_begin(tuoi_ifreq *request, const char name[16]) {
    TUO_MEMSET(request, 0, sizeof *request);
    TUO_MEMCPY(request->name, name, sizeof request->name);
}

/* The index of a name where fd was opened, or -errno. */
static int tuoi_index_of(int fd, const char name[16]) {
    tuoi_ifreq request;
    int returned;
    tuoi_ifreq_begin(&request, name);
    returned = tuoi_ioctl(fd, 0x8933 /* SIOCGIFINDEX */, &request);
    return returned < 0 ? returned : request.u.number;
}

typedef struct tuoi_place {
    char name[16];
    int index;
} tuoi_place;

/* 0: the place is the device's. TUOI_LIKELY: it is, unless the device was moved and an interface
   with both its name and its index came: good enough for a question. */
enum { TUOI_LIKELY = 1 };
static int tuoi_tun_judge(const tuo_tun *tun, const tuoi_place *place, int ns) {
    if (ns < 0) return ns;
    if (ns == TUOI_NS_OTHER) return -TUOI_WHY_ELSEWHERE;
    if (ns == TUOI_NS_SECRET && tun->adopted) return -TUOI_WHY_SECRET;
    if (place->index == -ENODEV) return -TUOI_WHY_ELSEWHERE;
    if (place->index < 0) return tuoi_unknown(place->index) ? -EOPNOTSUPP : place->index;
    if (ns == TUOI_NS_SAME) return 0;
    if (tun->if_index != 0 && tun->if_index != place->index) return -TUOI_WHY_ELSEWHERE;
    return ns == TUOI_NS_SECRET ? TUOI_LIKELY : 0;
}

/* Where requests by fd find the device. Asked before every use of its name or index: either can
   belong to another interface by now, if the device was deleted, renamed, or moved to another
   namespace. As tuoi_tun_judge; -EBADFD: deleted. */
static int tuoi_tun_place(const tuo_tun *tun, int fd, tuoi_place *place) {
    char name[16];
    int returned, ns, tries;
    for (tries = 0; tries < 8; tries++) {
        if ((returned = tuoi_tun_present_name(tun, place->name)) < 0) return returned;
        place->index = tuoi_index_of(fd, place->name);
        /* netlink sockets of gVisor know no ioctl */
        if (tuoi_unknown(place->index) && tun->if_index > 0) place->index = tun->if_index;
        ns = tuoi_tun_netns(tun, fd);
        if ((returned = tuoi_tun_present_name(tun, name)) < 0) return returned;
        if (TUO_MEMCMP(name, place->name, sizeof name) == 0) return tuoi_tun_judge(tun, place, ns);
    }
    return -EBUSY; /* renamed all the time */
}

/* --- settings --- */

enum { TUOI_IFF_UP = 1 };

typedef struct tuoi_setting {
    tuo_tun_step step;
    uint32_t value;         /* MTU, packets, up or not; prefix length */
    uint8_t address[16];
} tuoi_setting;

static tuoi_setting tuoi_setting_of(tuo_tun_step step, uint32_t value) {
    tuoi_setting setting;
    TUO_MEMSET(&setting, 0, sizeof setting);
    setting.step = step;
    setting.value = value;
    return setting;
}

static size_t tuoi_address_len(const tuoi_setting *setting) { return setting->step == TUO_TUN_STEP_ADDRESS4 ? 4 : 16; }

/* "ADDRESS/PREFIX" */
static int tuoi_parse_address(const char *text, tuoi_setting *setting) {
    char host[64];
    size_t len = 0;
    unsigned prefix = 0, digits = 0;
    *setting = tuoi_setting_of(TUO_TUN_STEP_NONE, 0);
    while (text[len] && text[len] != '/' && len < sizeof host - 1) len++;
    if (text[len] != '/') return 0;
    TUO_MEMCPY(host, text, len);
    host[len] = 0;
    for (text += len + 1; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
        prefix = prefix * 10 + (unsigned)(*text - '0');
    if (inet_pton(AF_INET, host, setting->address) == 1) {
        setting->step = TUO_TUN_STEP_ADDRESS4;
    } else if (inet_pton(AF_INET6, host, setting->address) == 1) {
        setting->step = TUO_TUN_STEP_ADDRESS6;
    }
    setting->value = prefix;
    return *text == 0 && digits && setting->step != TUO_TUN_STEP_NONE && prefix <= tuoi_address_len(setting) * 8;
}

/* SIOCGIFADDR and SIOCGIFNETMASK look for an IPv4 address that the request brings. If there is none
   they tell of another: its first. 4 bytes come back in address. */
static int tuoi_ask_address4(int fd, unsigned long what, const char name[16], uint8_t address[4]) {
    struct sockaddr_in ip4;
    tuoi_ifreq request;
    int returned;
    tuoi_ifreq_begin(&request, name);
    TUO_MEMSET(&ip4, 0, sizeof ip4);
    ip4.sin_family = AF_INET;
    TUO_MEMCPY(&ip4.sin_addr, address, 4);
    TUO_MEMCPY(request.u.room, &ip4, sizeof ip4);
    returned = tuoi_ioctl(fd, what, &request);
    TUO_MEMCPY(&ip4, request.u.room, sizeof ip4);
    TUO_MEMCPY(address, &ip4.sin_addr, 4);
    return returned;
}

static int tuoi_has_address4(int fd, const tuoi_place *place, const tuoi_setting *setting) {
    uint8_t found[4], mask[4];
    uint32_t bits = 0;
    size_t i;
    TUO_MEMCPY(found, setting->address, sizeof found);
    TUO_MEMCPY(mask, setting->address, sizeof mask);
    if (tuoi_ask_address4(fd, 0x8915 /* SIOCGIFADDR */, place->name, found) < 0) return 0;
    if (tuoi_ask_address4(fd, 0x891B /* SIOCGIFNETMASK */, place->name, mask) < 0) return 0;
    for (i = 0; i < sizeof mask; i++)
        for (; mask[i]; mask[i] = (uint8_t)(mask[i] & (mask[i] - 1))) bits++;
    return TUO_MEMCMP(found, setting->address, sizeof found) == 0 && bits == setting->value;
}

/* A line of if_inet6, as it is read: hexadecimal address, index, prefix length, scope, flags; a name. */
typedef struct tuoi_inet6_line {
    uint8_t address[16];
    uint32_t values[5];      /* behind the address, from 1 on */
    unsigned field, digits;
} tuoi_inet6_line;

static void tuoi_inet6_take(tuoi_inet6_line *line, char c) {
    const int is_digit = c >= '0' && c <= '9', is_letter = c >= 'a' && c <= 'f';
    const unsigned digit = (unsigned)(is_digit ? c - '0' : c - 'a' + 10);
    if (!is_digit && !is_letter) {
        if (line->digits != 0) line->field++; /* several blanks are one */
        line->digits = 0;
        return;
    }
    if (line->field == 0 && line->digits < 32) {
        line->address[line->digits / 2] = (uint8_t)((line->address[line->digits / 2] & 0xFu) << 4 | digit);
    } else if (line->field > 0 && line->field < 5) {
        line->values[line->field] = (line->values[line->field] & 0x0FFFFFFFu) << 4 | digit;
    }
    line->digits++;
}

/* An address that turned out to be another host's (IFA_F_DADFAILED) is none. */
static int tuoi_inet6_fits(const tuoi_inet6_line *line, const tuoi_place *place, const tuoi_setting *setting) {
    return line->field >= 5 && line->values[1] == (uint32_t)place->index && line->values[2] == setting->value &&
           !(line->values[4] & IFA_F_DADFAILED) && TUO_MEMCMP(line->address, setting->address, 16) == 0;
}

/* No ioctl knows IPv6 addresses. */
static int tuoi_has_address6(const tuoi_place *place, const tuoi_setting *setting) {
    char bytes[256];
    tuoi_inet6_line line;
    int has = 0, len = 0, i, fd = tuoi_sys(open("/proc/thread-self/net/if_inet6", O_RDONLY | TUOI_O_CLOEXEC));
    TUO_MEMSET(&line, 0, sizeof line);
    while (!has && fd >= 0 && (len = tuoi_sys(read(fd, bytes, sizeof bytes))) > 0) {
        for (i = 0; !has && i < len; i++) {
            if (bytes[i] != '\n') {
                tuoi_inet6_take(&line, bytes[i]);
                continue;
            }
            has = tuoi_inet6_fits(&line, place, setting);
            TUO_MEMSET(&line, 0, sizeof line);
        }
    }
    tuoi_close_fd(&fd);
    return has;
}

static int tuoi_link_is(int fd, const tuoi_place *place, const tuoi_setting *setting) {
    tuoi_ifreq request;
    if (setting->step == TUO_TUN_STEP_ADDRESS4) return tuoi_has_address4(fd, place, setting);
    if (setting->step == TUO_TUN_STEP_ADDRESS6) return tuoi_has_address6(place, setting);
    tuoi_ifreq_begin(&request, place->name);
    if (tuoi_ioctl(fd, tuoi_step_of(setting->step)->ask, &request) < 0) return 0;
    if (setting->step == TUO_TUN_STEP_UP) return ((request.u.flags & TUOI_IFF_UP) != 0) == (setting->value != 0);
    return (uint32_t)request.u.number == setting->value;
}

/* Is the interface so already? That needs no privilege and no netlink. What cannot be told is not
   so. The socket is one of the namespace that the thread is in, as is /proc/thread-self. */
static int tuoi_tun_is_so(tuo_tun *tun, const tuoi_setting *setting) {
    tuoi_place place;
    int fd = tuoi_sys(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int found = fd >= 0 && tuoi_tun_place(tun, fd, &place) >= 0;
    const int so = found && tuoi_link_is(fd, &place, setting);
    if (found && tun->if_index == 0) tun->if_index = place.index; /* it is being opened, without netlink */
    tuoi_close_fd(&fd);
    return so;
}

static void tuoi_link_request(tuoi_netlink *request, int index, const tuoi_setting *setting) {
    const int is_up = setting->step == TUO_TUN_STEP_UP;
    struct ifinfomsg link;
    TUO_MEMSET(&link, 0, sizeof link);
    link.ifi_index = index;
    link.ifi_flags = is_up && setting->value ? TUOI_IFF_UP : 0;
    link.ifi_change = is_up ? TUOI_IFF_UP : 0;
    tuoi_netlink_begin(request, RTM_NEWLINK, 0, &link, sizeof link);
    if (!is_up)
        tuoi_netlink_add(request, tuoi_step_of(setting->step)->attribute, &setting->value, sizeof setting->value);
}

static void tuoi_address_request(tuoi_netlink *request, int index, const tuoi_setting *setting) {
    const size_t len = tuoi_address_len(setting);
    struct ifaddrmsg message;
    TUO_MEMSET(&message, 0, sizeof message);
    message.ifa_family = len == 4 ? AF_INET : AF_INET6;
    message.ifa_prefixlen = (uint8_t)setting->value;
    if (len == 16) message.ifa_flags = IFA_F_NODAD; /* a point-to-point link has nobody to ask */
    message.ifa_index = (uint32_t)index;
    tuoi_netlink_begin(request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &message, sizeof message);
    tuoi_netlink_add(request, IFA_LOCAL, setting->address, len);
    tuoi_netlink_add(request, IFA_ADDRESS, setting->address, len);
}

static int tuoi_tun_send_setting(tuo_tun *tun, int index, const tuoi_setting *setting) {
    tuoi_netlink request;
    int returned;
    if (setting->step == TUO_TUN_STEP_ADDRESS4 || setting->step == TUO_TUN_STEP_ADDRESS6) {
        tuoi_address_request(&request, index, setting);
    } else {
        tuoi_link_request(&request, index, setting);
    }
    request.header.nlmsg_seq = ++tun->netlink_seq;
    returned = tuoi_netlink_call(tun->netlink_fd, &request);
    return returned == -ENODEV ? -EBADFD : returned; /* deleted just now */
}

/* 0, or -errno, or -code. */
static int tuoi_tun_set(tuo_tun *tun, const tuoi_setting *setting) {
    tuoi_place place;
    int returned = tuoi_tun_present_name(tun, place.name);
    if (returned < 0) return returned;
    if (tuoi_tun_is_so(tun, setting)) return 0;
    if (tun->netlink_fd < 0) return tun->netlink_fd;
    returned = tuoi_tun_place(tun, tun->netlink_fd, &place);
    if (returned == TUOI_LIKELY) return -EPERM; /* as the kernel would say: it asks for the same right */
    return returned < 0 ? returned : tuoi_tun_send_setting(tun, place.index, setting);
}

static tuo_result tuoi_tun_set_public(tuo_tun *tun, tuoi_setting setting) {
    int returned, error;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    returned = tuoi_tun_set(tun, &setting);
    if (returned >= 0) return tuoi_leave(&tun->waiter, TUO_OK);
    error = tuoi_why_errno(returned);
    __atomic_store_n(&tun->tx.last_errno, error, __ATOMIC_RELAXED);
    if (error == EBADFD) return tuoi_leave(&tun->waiter, TUO_E_GONE);
    return tuoi_leave(&tun->waiter, error == EOPNOTSUPP ? TUO_E_UNSUPPORTED : TUO_E_SYSTEM);
}

TUO_API tuo_result tuo_tun_set_up(tuo_tun *tun, int up) {
    return tuoi_tun_set_public(tun, tuoi_setting_of(TUO_TUN_STEP_UP, up != 0));
}

TUO_API tuo_result tuo_tun_set_mtu(tuo_tun *tun, uint32_t mtu) {
    return tuoi_tun_set_public(tun, tuoi_setting_of(TUO_TUN_STEP_MTU, mtu));
}

TUO_API tuo_result tuo_tun_add_address(tuo_tun *tun, const char *text) {
    tuoi_setting setting;
    if (!text || !tuoi_parse_address(text, &setting)) return TUO_E_INVALID;
    return tuoi_tun_set_public(tun, setting);
}

/* --- offloads --- */

static int tuoi_tun_set_offload(const tuo_tun *tun, uint32_t set) {
    return tuoi_sys(ioctl(tun->waiter.fd, TUNSETOFFLOAD, (unsigned long)set));
}

#define TUOI_TUN_TUNNELS ((uint32_t)TUO_TUN_UDP_TUNNEL | TUO_TUN_UDP_TUNNEL_CSUM)

/* Without what depends on something that is not there (K 2.5). */
static uint32_t tuoi_offloads_complete(uint32_t set) {
    set &= TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN | TUO_TUN_USO | TUOI_TUN_TUNNELS;
    if (!(set & TUO_TUN_CSUM)) return 0;
    if (!(set & (TUO_TUN_TSO4 | TUO_TUN_TSO6))) set &= ~(uint32_t)TUO_TUN_TSO_ECN;
    if ((set & TUO_TUN_USO) != TUO_TUN_USO) set &= ~(uint32_t)TUO_TUN_USO;
    if (!(set & (TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_USO))) set &= ~(uint32_t)TUO_TUN_UDP_TUNNEL;
    if (!(set & TUO_TUN_UDP_TUNNEL)) set &= ~(uint32_t)TUO_TUN_UDP_TUNNEL_CSUM;
    return set;
}

static uint32_t tuoi_tun_offloads(const tuo_tun *tun) { return __atomic_load_n(&tun->offloads, __ATOMIC_RELAXED); }

TUO_API tuo_result tuo_tun_set_offloads(tuo_tun *tun, uint32_t offloads) {
    int returned;
    if (tuoi_offloads_complete(offloads) != offloads) return TUO_E_INVALID;
    if (!tun->vnet_hdr_len) return TUO_E_UNSUPPORTED;
    if ((offloads & TUOI_TUN_TUNNELS) && tun->vnet_hdr_len < TUO_VNET_LEN_TUNNEL) return TUO_E_UNSUPPORTED; /* K 2.8 */
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    returned = tuoi_tun_set_offload(tun, offloads);
    if (returned >= 0) {
        __atomic_store_n(&tun->offloads, offloads, __ATOMIC_RELAXED);
        return tuoi_leave(&tun->waiter, TUO_OK);
    }
    __atomic_store_n(&tun->tx.last_errno, -returned, __ATOMIC_RELAXED);
    if (tuoi_unknown(returned)) return tuoi_leave(&tun->waiter, TUO_E_UNSUPPORTED);
    return tuoi_leave(&tun->waiter, returned == -EBADFD ? TUO_E_GONE : TUO_E_SYSTEM);
}

/* Are there UDP superpackets, which the caller does not want to read? Decides what may be written
   (K 1.10). */
static int tuoi_tun_probe_uso(tuo_tun *tun) {
    tun->knows_uso = tuoi_tun_set_offload(tun, tun->offloads | TUO_TUN_CSUM | TUO_TUN_USO) >= 0;
    return tun->knows_uso ? tuoi_tun_set_offload(tun, tun->offloads) : 0;
}

/* Read-side offloads from the largest set down. A set that the kernel does not know is refused as a
   whole and changes nothing (K 2.5), so the offloads of before are there until one is taken. A kernel
   that knows none has none. */
static int tuoi_tun_negotiate_offloads(tuo_tun *tun) {
    static const uint32_t sets[] = {
        TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN | TUO_TUN_USO | TUOI_TUN_TUNNELS,
        TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN | TUO_TUN_USO,
        TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6 | TUO_TUN_TSO_ECN,
        TUO_TUN_CSUM | TUO_TUN_TSO4 | TUO_TUN_TSO6,
        TUO_TUN_CSUM,
        0,
    };
    const int takes_tunnels = tun->desc.udp_tunnels && tun->vnet_hdr_len >= TUO_VNET_LEN_TUNNEL; /* K 2.8 */
    const uint32_t unwanted = tun->desc.disable_offloads;
    const int wants_uso = !(unwanted & (TUO_TUN_CSUM | TUO_TUN_USO));
    int returned = -EINVAL;
    size_t i;
    for (i = takes_tunnels ? 0 : 1; tuoi_unknown(returned) && i < sizeof sets / sizeof sets[0]; i++) {
        tun->offloads = tuoi_offloads_complete(sets[i] & ~unwanted);
        returned = tuoi_tun_set_offload(tun, tun->offloads);
    }
    tun->knows_uso = (tun->offloads & TUO_TUN_USO) != 0;
    if (returned >= 0 && !wants_uso) returned = tuoi_tun_probe_uso(tun);
    return tuoi_unknown(returned) ? 0 : returned;
}

static int tuoi_tun_set_vnet_len(tuo_tun *tun, uint32_t vnet_len) {
    int len = (int)vnet_len;
    const int returned = tuoi_ioctl(tun->waiter.fd, TUNSETVNETHDRSZ, &len);
    if (returned >= 0) tun->vnet_hdr_len = vnet_len;
    return returned;
}

/* Vnet header of the size that the offloads need, which is per device and sticky, so always said
   explicitly (K 2.3). A kernel that does not know other sizes has the usual one. While offloads for
   tunnels are on, the header must have room for them, or packets are lost (K 2.8): longer first,
   shorter last. */
static int tuoi_tun_negotiate(tuo_tun *tun) {
    const uint32_t old_len = tun->vnet_hdr_len;
    uint32_t len = tun->desc.udp_tunnels ? TUO_VNET_LEN_TUNNEL : TUO_VNET_LEN;
    int returned = 0;
    if (old_len == 0) {
        returned = tuoi_tun_set_offload(tun, 0);
        return tuoi_unknown(returned) ? 0 : returned;
    }
    if (old_len < TUO_VNET_LEN_TUNNEL) returned = tuoi_tun_set_vnet_len(tun, len);
    if (returned < 0 && !tuoi_unknown(returned)) return returned;
    if ((returned = tuoi_tun_negotiate_offloads(tun)) < 0) {
        (void)tuoi_tun_set_vnet_len(tun, old_len);
        return returned;
    }
    len = (tun->offloads & TUOI_TUN_TUNNELS) ? TUO_VNET_LEN_TUNNEL : TUO_VNET_LEN;
    if (tun->vnet_hdr_len != len) returned = tuoi_tun_set_vnet_len(tun, len);
    return tuoi_unknown(returned) ? 0 : returned;
}

/* --- opening --- */

static int tuoi_tun_open_path(tuo_tun *tun) {
    tun->waiter.fd = tuoi_sys(open(tun->path, O_RDWR | TUOI_O_CLOEXEC));
    return tuoi_at(tun, TUO_TUN_STEP_PATH, tun->waiter.fd);
}

/* The socket belongs to the network namespace of now: later settings reach the device even if the
   process has moved on. A sandbox may deny it: packets need no netlink. */
static int tuoi_tun_open_netlink(tuo_tun *tun) {
    int fd = -TUOI_WHY_NO_NETLINK;
    if (!tun->desc.no_netlink) fd = tuoi_sys(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (fd == -EPERM || fd == -EACCES || fd == -EAFNOSUPPORT || fd == -EPROTONOSUPPORT || tuoi_unknown(fd))
        fd = -TUOI_WHY_DENIED;
    tun->netlink_fd = fd;
    return fd <= -TUOI_WHY_FIRST ? 0 : tuoi_at(tun, TUO_TUN_STEP_NETLINK, fd);
}

/* One TUNSETIFF; what it made is kept. */
static int tuoi_tun_set_iff(tuo_tun *tun, const char *name, int flags) {
    tuoi_ifreq request;
    size_t i;
    int returned;
    TUO_MEMSET(&request, 0, sizeof request);
    for (i = 0; name && name[i] && i < sizeof request.name - 1; i++) request.name[i] = name[i];
    request.u.flags = (short)flags;
    returned = tuoi_ioctl(tun->waiter.fd, TUNSETIFF, &request);
    if (returned < 0) return returned;
    TUO_MEMCPY(tun->name, request.name, sizeof tun->name - 1);
    tun->attached_as = flags;
    return 0;
}

static int tuoi_tun_attach(tuo_tun *tun, const char *name, int more_flags) {
    const tuo_tun_desc *const desc = &tun->desc;
    const int queues = desc->multi_queue ? IFF_MULTI_QUEUE : 0;
    const int base = (desc->tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | queues | more_flags;
    int returned = tuoi_tun_set_iff(tun, name, base | (desc->no_vnet_hdr ? 0 : IFF_VNET_HDR));
    /* a kernel, or an existing device, without vnet headers */
    if (returned == -EINVAL && !desc->no_vnet_hdr) returned = tuoi_tun_set_iff(tun, name, base);
    if (returned == -EINVAL && name && name[0]) returned = tuoi_tun_clash(tun, name);
    return returned < 0 ? returned : tuoi_fd_flags(tun->waiter.fd);
}

/* The kernel gives a single-queue device to one process only. A multi-queue device takes in any
   process: IFF_TUN_EXCL makes the device, or changes nothing (K 2.14). *is_shared: others have
   queues, or it is not known. */
static int tuoi_tun_attach_alone(tuo_tun *tun, const char *name, int *is_shared) {
    const int share = tun->desc.share;
    int returned = tuoi_tun_attach(tun, name, tun->desc.multi_queue ? IFF_TUN_EXCL : 0);
    *is_shared = 0;
    if (returned != -EBUSY || !tun->desc.multi_queue) return returned;
    if (!share && tuoi_tun_queues(tun, name) != 0) {
        returned = tuoi_tun_clash(tun, name);
        return returned == -EINVAL ? -EBUSY : returned;
    }
    if ((returned = tuoi_tun_attach(tun, name, 0)) < 0) return returned;
    *is_shared = tuoi_tun_queues(tun, tun->name) != 1;
    return *is_shared && !share ? -EBUSY : 0; /* two came at the same time: neither has it */
}

/* What the kernel says about the descriptor: never assumed from what was asked for (K 2.2), unless
   it does not say. */
static int tuoi_tun_read_back(tuo_tun *tun) {
    tuoi_ifreq request;
    int returned, value = 0;
    TUO_MEMSET(&request, 0, sizeof request);
    returned = tuoi_ioctl(tun->waiter.fd, TUNGETIFF, &request);
    if (returned < 0 && (!tun->attached_as || !tuoi_unknown(returned))) return returned;
    if (returned < 0) request.u.flags = (short)tun->attached_as;
    else TUO_MEMCPY(tun->name, request.name, sizeof tun->name - 1);
    tun->is_tap = (request.u.flags & IFF_TAP) != 0;
    tun->desc.tap = (uint8_t)tun->is_tap; /* for further queues */
    tun->desc.multi_queue = (request.u.flags & IFF_MULTI_QUEUE) != 0;
    tun->napi_frags = (request.u.flags & 0x20 /* IFF_NAPI_FRAGS */) != 0;
    tun->order = TUO_ORDER_NATIVE;
    tun->vnet_hdr_len = 0;
    if (!(request.u.flags & IFF_VNET_HDR)) return 0;
    if (tun->desc.no_vnet_hdr) return -TUOI_WHY_HAS_VNET; /* an adopted descriptor, or another queue's choice */
    returned = tuoi_ioctl(tun->waiter.fd, TUNGETVNETHDRSZ, &value);
    if (returned < 0 && !tuoi_unknown(returned)) return returned;
    tun->vnet_hdr_len = returned < 0 ? (uint32_t)TUO_VNET_LEN : (uint32_t)value;
    if (tuoi_ioctl(tun->waiter.fd, TUNGETVNETLE, &value) >= 0 && value) tun->order = TUO_ORDER_LITTLE;
    if (tuoi_ioctl(tun->waiter.fd, TUNGETVNETBE, &value) >= 0 && value) tun->order = TUO_ORDER_BIG;
    return 0;
}

/* The interface behind the descriptor. An adopted one can belong to another namespace, where no
   socket of ours reaches it, and a namesake can be here. If that is not known, the namesake's
   packet information counts, to be on the safe side. */
static int tuoi_tun_find_interface(tuo_tun *tun) {
    tuoi_place place;
    int returned = 0;
    if (tun->netlink_fd < 0) return 0;
    if (tun->adopted) {
        returned = tuoi_tun_place(tun, tun->netlink_fd, &place);
        if (returned == -TUOI_WHY_ELSEWHERE || tuoi_unknown(returned)) return 0;
        if (returned < 0 && returned != -TUOI_WHY_SECRET) return returned;
    } else {
        place.index = tuoi_index_of(tun->netlink_fd, tun->name);
    }
    if (returned == 0 && place.index > 0) tun->if_index = place.index;
    return tuoi_tun_has_packet_info(tun) ? -TUOI_WHY_HAS_PI : 0;
}

/* What open, adopt and add_queue have in common, once there is a descriptor. */
static int tuoi_tun_setup(tuo_tun *tun) {
    const int returned = tuoi_tun_read_back(tun);
    return tuoi_at(tun, TUO_TUN_STEP_DESCRIPTOR, returned < 0 ? returned : tuoi_tun_find_interface(tun));
}

static int tuoi_tun_open_wake(tuo_tun *tun) {
    tun->waiter.wake_fd = tuoi_sys(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return tuoi_at(tun, TUO_TUN_STEP_DESCRIPTOR, tun->waiter.wake_fd);
}

/* A vnet header of 11 or 100 bytes cannot be used. */
static int tuoi_tun_check_vnet(tuo_tun *tun) {
    if (tun->vnet_hdr_len == 0 || tuoi_vnet_len_ok(tun->vnet_hdr_len)) return 0;
    return tuoi_at(tun, TUO_TUN_STEP_NEGOTIATE, -TUOI_WHY_ODD_VNET);
}

static int tuoi_tun_ownership(tuo_tun *tun) {
    const tuo_tun_desc *const desc = &tun->desc;
    const int fd = tun->waiter.fd;
    int returned = 0;
    if (desc->set_owner)
        returned = tuoi_at(tun, TUO_TUN_STEP_OWNER, tuoi_sys(ioctl(fd, TUNSETOWNER, (unsigned long)desc->owner)));
    if (returned >= 0 && desc->set_group)
        returned = tuoi_at(tun, TUO_TUN_STEP_GROUP, tuoi_sys(ioctl(fd, TUNSETGROUP, (unsigned long)desc->group)));
    if (returned >= 0 && desc->persist)
        returned = tuoi_at(tun, TUO_TUN_STEP_PERSIST, tuoi_sys(ioctl(fd, TUNSETPERSIST, 1ul)));
    return returned;
}

static uint32_t tuoi_feature_of(uint8_t gso_type) {
    const unsigned type = gso_type & ~(unsigned)TUO_GSO_ECN;
    if (gso_type & (TUO_GSO_UDP_TUNNEL_IPV4 | TUO_GSO_UDP_TUNNEL_IPV6)) return 3;
    return type == TUO_GSO_TCPV4 ? 0 : type == TUO_GSO_TCPV6 ? 1 : 2;
}

/* What one write takes: all pieces in one writev; bytes of the IP packet. */
static uint32_t tuoi_tun_pieces_max(const tuo_tun *tun) {
    return tun->napi_frags ? TUOI_FRAGS_MAX : TUOI_TX_IOV_MAX - 2;
}
static uint32_t tuoi_tun_bytes_max(const tuo_tun *tun) {
    return tun->napi_frags ? (uint32_t)TUOI_FRAGS_BYTES : 0xFFFFu;
}

/* 0 is the default. Beyond 65535 it is wrong, which GRO says. */
static void tuoi_limit32(uint32_t *value, uint32_t limit) {
    if (*value == 0 || tuoi_in(*value, limit, 0xFFFF)) *value = limit;
}

/* The user's switches, what the device makes of them, and what refusals have switched off. */
static tuo_gro_desc tuoi_tun_tx_gro_desc(const tuo_tun *tun) {
    const tuoi_feature *const f = tun->tx.features;
    tuo_gro_desc desc = tun->tx.gro_desc;
    desc.no_vnet_hdr = tun->vnet_hdr_len == 0;
    desc.vnet_hdr_len = tun->vnet_hdr_len;
    desc.vnet_order = tun->order;
    desc.ethernet = (uint8_t)tun->is_tap;
    desc.disable_tcp6_ext = 1;
    tuoi_limit32(&desc.max_frags, tuoi_tun_pieces_max(tun));
    tuoi_limit32(&desc.max_bytes, tuoi_tun_bytes_max(tun));
    if (!tun->vnet_hdr_len || f[0].off) desc.disable_tcp4 = 1;
    if (!tun->vnet_hdr_len || f[1].off) desc.disable_tcp6 = 1;
    if (!tun->vnet_hdr_len || f[2].off || !tun->knows_uso) desc.disable_udp4 = desc.disable_udp6 = 1;
    desc.tunnels_for_tun = !tun->is_tap;
    if (tun->vnet_hdr_len != TUO_VNET_LEN_TUNNEL || f[3].off || !(tun->is_tap || tun->desc.tun_writes_tunnels))
        desc.vxlan_port_count = desc.geneve_port_count = 0;
    return desc;
}

/* Before the device is known. */
static tuo_gro_desc tuoi_tun_first_gro_desc(const tuo_tun_desc *desc) {
    tuo_gro_desc gro_desc = desc->gro;
    gro_desc.vnet_hdr_len = desc->udp_tunnels ? TUO_VNET_LEN_TUNNEL : 0;
    return gro_desc;
}

/* What can be told wrong without asking the kernel: the member, and why; or NULL. */
static const char *tuoi_tun_desc_wrong(const tuo_tun_desc *desc) {
    const tuo_gro_desc gro_desc = tuoi_tun_first_gro_desc(desc);
    tuoi_setting setting;
    size_t name_len = 0;
    size_t path_len = 0;
    while (desc->name && name_len < sizeof ((tuo_tun *)0)->name && desc->name[name_len]) name_len++;
    while (desc->path && path_len < TUOI_PATH_LEN && desc->path[path_len]) path_len++;
    if (name_len == sizeof ((tuo_tun *)0)->name) return "name: longer than 15 characters";
    if (path_len == TUOI_PATH_LEN) return "path: longer than 127 characters";
    if (desc->push_bytes && (desc->push_bytes < TUOI_PUSH_BYTES_MIN || desc->push_bytes > SIZE_MAX / 4))
        return "push_bytes: below 70000, or more than there is";
    if (desc->address4 &&
        (!tuoi_parse_address(desc->address4, &setting) || setting.step != TUO_TUN_STEP_ADDRESS4))
        return "address4: not ADDRESS/PREFIX of IPv4";
    if (desc->address6 &&
        (!tuoi_parse_address(desc->address6, &setting) || setting.step != TUO_TUN_STEP_ADDRESS6))
        return "address6: not ADDRESS/PREFIX of IPv6";
    if (desc->gro.finish_checksum) return "gro.finish_checksum: not for a device that may forward";
    return tuo_gro_memory_size(&gro_desc) ? NULL : "gro: a member is out of its range";
}

/* The desc, with its defaults; of its strings only the path, for further queues. */
static void tuoi_tun_keep_desc(tuo_tun *tun, const tuo_tun_desc *desc, const char *path) {
    size_t i;
    for (i = 0; i < sizeof tun->path - 1 && path[i]; i++) tun->path[i] = path[i];
    tun->desc = *desc;
    tun->desc.name = tun->desc.path = tun->desc.address4 = tun->desc.address6 = NULL;
    tun->desc.failure = NULL;
    tuoi_default32(&tun->desc.refusal_limit, 3);
    tuoi_default32(&tun->desc.retry_after, 100000);
    tuoi_default32(&tun->desc.round_packets, TUOI_ROUND_PACKETS);
    tun->rx.round.packets_max = tun->desc.round_packets;
}

/* One block: the queue, its GRO instance, room for the buffers it holds, memory of tuo_tun_push. */
static size_t tuoi_tun_layout(const tuo_tun_desc *desc, const tuo_gro_desc *gro_desc, size_t *held, size_t *pushed) {
    const size_t push_bytes = desc->push_bytes ? desc->push_bytes : (size_t)TUOI_PUSH_BYTES;
    const size_t max_packets = tuoi_gro_desc_effective(gro_desc).max_packets;
    *held = tuoi_align_up(sizeof(tuo_tun)) + tuoi_align_up(tuo_gro_memory_size(gro_desc));
    *pushed = *held + tuoi_align_up(max_packets * sizeof(void *));
    return *pushed + push_bytes;
}

static void tuoi_tun_desc_failed(const tuo_tun_desc *desc, int *error, const char *words) {
    if (error) *error = 0;
    tuoi_say_early(desc->failure, TUO_TUN_STEP_DESC, "desc", 0, words);
}

static void tuoi_tun_no_memory(const tuo_tun_desc *desc, int *error) {
    if (error) *error = ENOMEM;
    tuoi_say_early(desc->failure, TUO_TUN_STEP_MEMORY, "a queue", ENOMEM, NULL);
}

static tuo_result tuoi_tun_allocate(tuo_tun **out, const tuo_tun_desc *desc, const char *path, int *error) {
    const char *const wrong = tuoi_tun_desc_wrong(desc);
    tuo_gro_desc gro_desc = tuoi_tun_first_gro_desc(desc);
    size_t len, held = 0, pushed = 0;
    tuo_tun *tun = NULL;
    uint8_t *block;
    if (error) *error = 0;
    if (wrong) {
        tuoi_tun_desc_failed(desc, error, wrong);
        return TUO_E_INVALID;
    }
    len = tuoi_tun_layout(desc, &gro_desc, &held, &pushed);
    tun = (tuo_tun *)TUO_CALLOC(1, len);
    if (!tun) {
        tuoi_tun_no_memory(desc, error);
        return TUO_E_SYSTEM;
    }
    block = (uint8_t *)tun;
    tun->waiter.fd = tun->netlink_fd = tun->waiter.wake_fd = -1;
    tuoi_tun_keep_desc(tun, desc, path);
    if (gro_desc.hash_seed == 0) gro_desc.hash_seed = tuoi_random(tun);
    if (tuo_gro_init(&tun->tx.gro, block + tuoi_align_up(sizeof *tun), held - tuoi_align_up(sizeof *tun), &gro_desc) !=
        TUO_OK) {
        TUO_FREE(tun);
        tuoi_tun_desc_failed(desc, error, "gro: a member is out of its range");
        return TUO_E_INVALID;
    }
    gro_desc.simd = tun->tx.gro->desc.simd; /* found out once */
    tun->tx.gro_desc = gro_desc;
    tun->simd = gro_desc.simd;
    tun->tx.held = (void **)(void *)(block + held);
    tun->tx.pushed = block + pushed;
    tun->tx.pushed_capacity = len - pushed;
    *out = tun;
    return TUO_OK;
}

static const char *tuoi_tun_path(const tuo_tun_desc *desc) { return desc->path ? desc->path : "/dev/net/tun"; }

static void tuoi_tun_free(tuo_tun *tun) {
    if (!tun->borrowed) tuoi_close_fd(&tun->waiter.fd);
    tuoi_close_fd(&tun->netlink_fd);
    tuoi_close_fd(&tun->waiter.wake_fd);
    TUO_FREE(tun);
}

static int tuoi_tun_set_at(tuo_tun *tun, tuoi_setting setting) {
    return tuoi_at(tun, setting.step, tuoi_tun_set(tun, &setting));
}

static int tuoi_tun_set_address(tuo_tun *tun, const char *text) {
    tuoi_setting setting;
    (void)tuoi_parse_address(text, &setting); /* was looked at before */
    return tuoi_tun_set_at(tun, setting);
}

/* IPv6 that is off is no failure, if the desc says so. */
static int tuoi_tun_set_address6(tuo_tun *tun, const tuo_tun_desc *desc) {
    const int returned = tuoi_tun_set_address(tun, desc->address6);
    if (!desc->address6_optional || (returned != -EACCES && returned != -EOPNOTSUPP && returned != -EAFNOSUPPORT))
        return returned;
    tuoi_tun_say(tun, desc, returned);
    if (desc->failure) tuoi_say(desc->failure, "; left out");
    return 0;
}

/* Settings of the interface that the desc asks for. */
static int tuoi_tun_interface(tuo_tun *tun, const tuo_tun_desc *desc) {
    int returned = 0;
    if (desc->mtu) returned = tuoi_tun_set_at(tun, tuoi_setting_of(TUO_TUN_STEP_MTU, desc->mtu));
    if (returned >= 0 && desc->tx_queue_len)
        returned = tuoi_tun_set_at(tun, tuoi_setting_of(TUO_TUN_STEP_TX_QUEUE_LEN, desc->tx_queue_len));
    if (returned >= 0 && desc->address4) returned = tuoi_tun_set_address(tun, desc->address4);
    if (returned >= 0 && desc->address6) returned = tuoi_tun_set_address6(tun, desc);
    if (returned >= 0 && desc->up) returned = tuoi_tun_set_at(tun, tuoi_setting_of(TUO_TUN_STEP_UP, 1));
    return returned;
}

static tuo_result tuoi_tun_opened(tuo_tun *tun, int returned, const tuo_tun_desc *desc, tuo_tun **out, int *error) {
    if (returned >= 0) {
        if (tun->if_index == 0) tun->if_index = -1; /* it was not asked for, and later nobody knows whose the name is */
        *out = tun;
        return TUO_OK;
    }
    if (error) *error = tuoi_why_errno(returned);
    tuoi_tun_say(tun, desc, returned);
    tuoi_tun_free(tun);
    return tuoi_why_unsupported(returned) ? TUO_E_UNSUPPORTED : TUO_E_SYSTEM;
}

static int tuoi_tun_open(tuo_tun *tun, const tuo_tun_desc *desc) {
    int returned, is_shared = 0;
    if ((returned = tuoi_tun_open_path(tun)) < 0) return returned;
    if ((returned = tuoi_tun_open_netlink(tun)) < 0) return returned;
    returned = tuoi_at(tun, TUO_TUN_STEP_ATTACH, tuoi_tun_attach_alone(tun, desc->name, &is_shared));
    if (returned < 0) return returned;
    if ((returned = tuoi_tun_setup(tun)) < 0) return returned;
    if ((returned = tuoi_tun_open_wake(tun)) < 0) return returned;
    tun->knows_uso = 1; /* until the kernel refuses one */
    if (!is_shared && (returned = tuoi_at(tun, TUO_TUN_STEP_NEGOTIATE, tuoi_tun_negotiate(tun))) < 0) return returned;
    if ((returned = tuoi_tun_check_vnet(tun)) < 0) return returned;
    if ((returned = tuoi_tun_ownership(tun)) < 0) return returned;
    return tuoi_tun_interface(tun, desc);
}

TUO_API tuo_result tuo_tun_open(tuo_tun **tun, const tuo_tun_desc *desc, int *error) {
    tuo_tun *t;
    tuo_result result;
    tuoi_say_nothing(desc->failure);
    result = tuoi_tun_allocate(&t, desc, tuoi_tun_path(desc), error);
    return result == TUO_OK ? tuoi_tun_opened(t, tuoi_tun_open(t, desc), desc, tun, error) : result;
}

/* Adopting reads first, which changes nothing; then comes what desc asks for. */
static int tuoi_tun_adopt(tuo_tun *tun, int fd, const tuo_tun_desc *desc) {
    int returned;
    tun->waiter.fd = fd;
    tun->adopted = 1;
    tun->knows_uso = 1; /* until the kernel refuses one */
    if ((returned = tuoi_at(tun, TUO_TUN_STEP_DESCRIPTOR, tuoi_sys(fcntl(fd, F_GETFL)))) < 0) return returned;
    tun->polls_first = !(returned & O_NONBLOCK);
    if ((returned = tuoi_tun_open_netlink(tun)) < 0) return returned;
    if ((returned = tuoi_tun_setup(tun)) < 0) return returned;
    if ((returned = tuoi_tun_open_wake(tun)) < 0) return returned;
    return desc->adopt_negotiate ? 0 : tuoi_tun_check_vnet(tun);
}

/* Last: it changes packets. */
static int tuoi_tun_renegotiate(tuo_tun *tun, const tuo_tun_desc *desc) {
    const int returned = desc->adopt_negotiate ? tuoi_at(tun, TUO_TUN_STEP_NEGOTIATE, tuoi_tun_negotiate(tun)) : 0;
    return returned < 0 ? returned : tuoi_tun_check_vnet(tun);
}

static int tuoi_tun_adjust(tuo_tun *tun, const tuo_tun_desc *desc) {
    const int returned = tuoi_tun_interface(tun, desc);
    return returned < 0 ? returned : tuoi_tun_renegotiate(tun, desc);
}

TUO_API tuo_result tuo_tun_adopt(tuo_tun **tun, int fd, const tuo_tun_desc *desc, int *error) {
    tuo_tun *t;
    int returned;
    tuo_result result;
    tuoi_say_nothing(desc->failure);
    result = tuoi_tun_allocate(&t, desc, tuoi_tun_path(desc), error);
    if (result != TUO_OK) return result;
    returned = tuoi_tun_adopt(t, fd, desc);
    if (returned >= 0) returned = tuoi_tun_adjust(t, desc);
    t->borrowed = returned < 0 || desc->borrowed; /* on failure it is still the caller's */
    return tuoi_tun_opened(t, returned, desc, tun, error);
}

/* Does a name mean the same to this thread, in whose namespace the new queue was opened, as to the
   first queue? is_fresh: this thread opened the first one just now. */
static int tuoi_tun_is_near(const tuo_tun *tun, const tuo_tun *first, int is_fresh) {
    const int ns = tuoi_tun_netns(first, tun->waiter.fd);
    if (ns < 0) return ns;
    if (ns == TUOI_NS_OTHER) return -TUOI_WHY_ELSEWHERE;
    if (ns == TUOI_NS_SAME || is_fresh) return 0;
    if (ns == TUOI_NS_SECRET && first->adopted) return -TUOI_WHY_SECRET;
    if (first->netlink_fd >= 0 && tun->netlink_fd >= 0)
        return tuoi_same_netns(first->netlink_fd, tun->netlink_fd) ? 0 : -TUOI_WHY_ELSEWHERE;
    return ns == TUOI_NS_SECRET ? -TUOI_WHY_SECRET : 0;
}

/* A name attaches to whatever bears it now, or makes a device of that name: is it the same one? */
static int tuoi_tun_is_beside(const tuo_tun *tun, const tuo_tun *first) {
    const int ns = tuoi_tun_netns(first, tun->waiter.fd);
    char name[16];
    int returned;
    if ((returned = tuoi_tun_present_name(first, name)) < 0) return returned;
    if (ns < 0) return ns;
    /* moved or renamed just now */
    if (ns == TUOI_NS_OTHER || TUO_MEMCMP(name, tun->name, sizeof name) != 0) return -EBADFD;
    if (ns != TUOI_NS_SAME && first->if_index > 0 && tun->if_index > 0 && first->if_index != tun->if_index)
        return -EBADFD;
    if (tun->vnet_hdr_len != first->vnet_hdr_len || tun->is_tap != first->is_tap) return -TUOI_WHY_OTHER_FLAGS;
    return 0;
}

static int tuoi_tun_attach_beside(tuo_tun *tun, const tuo_tun *first, int is_fresh) {
    char name[16];
    int returned;
    tun->adopted = first->adopted;
    if ((returned = tuoi_at(tun, TUO_TUN_STEP_ATTACH, tuoi_tun_present_name(first, name))) < 0) return returned;
    if ((returned = tuoi_tun_open_path(tun)) < 0) return returned;
    if ((returned = tuoi_tun_open_netlink(tun)) < 0) return returned;
    if ((returned = tuoi_at(tun, TUO_TUN_STEP_ATTACH, tuoi_tun_is_near(tun, first, is_fresh))) < 0) return returned;
    if ((returned = tuoi_at(tun, TUO_TUN_STEP_ATTACH, tuoi_tun_attach(tun, name, 0))) < 0) return returned;
    if ((returned = tuoi_tun_setup(tun)) < 0) return returned;
    if ((returned = tuoi_at(tun, TUO_TUN_STEP_ATTACH, tuoi_tun_is_beside(tun, first))) < 0) return returned;
    tun->offloads = tuoi_tun_offloads(first); /* per device (K 2.3) */
    tun->knows_uso = first->knows_uso;
    return tuoi_tun_open_wake(tun);
}

static tuo_result tuoi_tun_add(const tuo_tun *first, int is_fresh, tuo_tun_failure *failure, tuo_tun **queue,
                               int *error) {
    tuo_tun_desc desc = first->desc;
    tuo_tun *t;
    int returned;
    tuo_result result;
    desc.failure = failure;
    result = tuoi_tun_allocate(&t, &desc, first->path, error);
    if (result != TUO_OK) return result;
    returned = tuoi_tun_attach_beside(t, first, is_fresh);
    result = tuoi_tun_opened(t, returned, &desc, queue, error);
    return returned == -EBADFD ? TUO_E_GONE : result;
}

TUO_API tuo_result tuo_tun_add_queue(const tuo_tun *first, tuo_tun **queue, int *error) {
    return tuoi_tun_add(first, 0, NULL, queue, error);
}

/* --- waiting --- */

TUO_API void tuo_tun_wake(tuo_tun *tun) { tuoi_wake(&tun->waiter); }
TUO_API void tuo_tun_wake_clear(tuo_tun *tun) { tuoi_wake_clear(&tun->waiter); }

TUO_API void tuo_tun_close(tuo_tun *tun) {
    if (!tun) return;
    tuoi_close_waiter(&tun->waiter);
    tuoi_tun_free(tun);
}

/* Is the interface down, as far as can be told? poll() has no room for writing then. */
static int tuoi_tun_is_down(const tuo_tun *tun) {
    const tuoi_setting down = tuoi_setting_of(TUO_TUN_STEP_UP, 0);
    tuoi_place place;
    const int returned = tun->netlink_fd >= 0 ? tuoi_tun_place(tun, tun->netlink_fd, &place) : -EOPNOTSUPP;
    if (returned == -EBADFD || returned == -EBADF) return 1; /* gone: a write says so */
    return returned >= 0 && tuoi_link_is(tun->netlink_fd, &place, &down);
}

/* Has the queue lost its device? The kernel is asked, since the errno of a read does not tell.
   EFAULT is raised by a packet that cannot be handed out (K 2.8) as well as by the deletion of the
   device while a read waits (K 2.13). */
static int tuoi_tun_is_gone(const tuo_tun *tun) {
    tuoi_ifreq request;
    const int returned = tuoi_ioctl(tun->waiter.fd, TUNGETIFF, &request);
    return returned == -EBADFD || returned == -EBADF;
}

/* The result of a failed system call. The kernel is asked only if the errno can speak of the
   descriptor: TUNGETIFF takes a lock that all of networking shares. */
static tuo_result tuoi_tun_failed(const tuo_tun *tun, int for_writing, int *last_errno, int negative_errno) {
    const int error = -negative_errno;
    if (error == EAGAIN) return TUO_AGAIN;
    __atomic_store_n(last_errno, error, __ATOMIC_RELAXED);
    if (for_writing && error == EIO) return TUO_E_DOWN;
    if (for_writing && (error == EINVAL || error == EMSGSIZE)) return TUO_E_REFUSED;
    if (error != EBADFD && error != EBADF && error != ENODEV && error != EFAULT && error != EIO) return TUO_E_SYSTEM;
    return tuoi_tun_is_gone(tun) ? TUO_E_GONE : TUO_E_SYSTEM;
}

/* The result of a failed system call; a call that waits says "again" (1) instead of TUO_AGAIN. */
static int tuoi_tun_retry(tuo_tun *tun, int for_writing, int waits, int returned, int *last_errno,
                          tuo_result *result) {
    if (returned == -EINTR) return 1;
    if (returned == -EAGAIN && waits) {
        returned = tuoi_wait(&tun->waiter, for_writing, -1);
        if (returned == 0 || returned == -EINTR) return 1;
    }
    if (returned == -ECANCELED) {
        *result = TUO_E_WOKEN;
    } else {
        *result = tuoi_tun_failed(tun, for_writing, last_errno, returned);
    }
    return 0;
}

TUO_API tuo_result tuo_tun_wait(tuo_tun *tun, int for_writing, int timeout_ms) {
    int returned;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    if (!for_writing && tun->rx.splitting) timeout_ms = 0; /* wakes up for nothing but tuo_tun_wake */
    returned = tuoi_wait(&tun->waiter, for_writing, timeout_ms);
    if (!for_writing && tun->rx.splitting && returned == -EAGAIN) returned = 0;
    if (returned == -ECANCELED) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    if (returned == -EAGAIN || returned == -EINTR) return tuoi_leave(&tun->waiter, TUO_AGAIN);
    return tuoi_leave(&tun->waiter, returned == 0 ? TUO_OK : TUO_E_SYSTEM);
}

/* --- facts --- */

/* A jumbo payload option goes: refused, the packet would be lost. */
static unsigned tuoi_tun_frame_flags(const tuo_tun *tun) {
    return (tun->is_tap ? (unsigned)TUO_F_ETHERNET : 0u) | TUO_F_STRIP_JUMBO | TUO_F_SIMD(tun->simd);
}

TUO_API int tuo_tun_fd(const tuo_tun *tun) { return tun->waiter.fd; }
TUO_API const char *tuo_tun_name(const tuo_tun *tun) { return tun->name; }

TUO_API void tuo_tun_query_info(const tuo_tun *tun, tuo_tun_info *info) {
    info->offloads = tuoi_tun_offloads(tun);
    info->vnet_hdr_len = tun->vnet_hdr_len;
    info->rx_errno = __atomic_load_n(&tun->rx.last_errno, __ATOMIC_RELAXED);
    info->tx_errno = __atomic_load_n(&tun->tx.last_errno, __ATOMIC_RELAXED);
}

TUO_API void tuo_tun_caps(const tuo_tun *tun, tuo_caps *caps) {
    TUO_MEMSET(caps, 0, sizeof *caps);
    caps->ethernet = (uint8_t)tun->is_tap;
    if (!tun->vnet_hdr_len) return;
    caps->tx_csum_tcp4 = caps->tx_csum_udp4 = caps->tx_csum_tcp6 = caps->tx_csum_udp6 = caps->tx_csum_any = 1;
    caps->rx_csum_tcp4 = caps->rx_csum_udp4 = caps->rx_csum_tcp6 = caps->rx_csum_udp6 =
        (tuoi_tun_offloads(tun) & TUO_TUN_CSUM) != 0;
    caps->max_tcp4 = caps->max_tcp6 = tuoi_tun_bytes_max(tun);
    if (tun->knows_uso) caps->max_udp4 = caps->max_udp6 = tuoi_tun_bytes_max(tun);
    caps->min_seg_size = TUOI_TCP_GSO_SIZE_MIN; /* K 1.9 */
    caps->max_frags = tuoi_tun_pieces_max(tun);
    caps->tx_vlan_max = tun->is_tap ? TUO_VLAN_MAX : 0;
    caps->max_udp_segs = tun->knows_uso ? 64 : 0;
}

TUO_API void tuo_tun_query_rx_stats(const tuo_tun *tun, tuo_tun_rx_stats *stats) { *stats = tun->rx.stats; }

TUO_API void tuo_tun_query_tx_stats(const tuo_tun *tun, tuo_tun_tx_stats *stats) {
    *stats = tun->tx.stats;
    stats->tcp4_off = tun->tx.features[0].off;
    stats->tcp6_off = tun->tx.features[1].off;
    stats->udp_off = tun->tx.features[2].off;
    stats->tunnels_off = tun->tx.features[3].off;
}

TUO_API void tuo_tun_query_gro_stats(const tuo_tun *tun, tuo_gro_stats *stats) {
    tuo_gro_query_stats(tun->tx.gro, stats);
}

/* --- receiving --- */

/* One read into vnet header, the caller's pieces, and one byte more: if that byte is written, the
   packet did not fit (K 3.1: the kernel truncates without a word). Returns the length, which then
   is above capacity; or -errno. */
static int tuoi_tun_readv(tuo_tun *tun, const struct iovec *iov, size_t iov_count, size_t capacity,
                          tuo_vnet_hdr *vnet) {
    uint8_t wire[TUO_VNET_LEN_MAX], spare;
    struct iovec all[TUOI_RECV_IOV_MAX + 2];
    int returned, count = 0;
    size_t i, len;
    TUO_MEMSET(wire, 0, sizeof wire); /* Linux up to 6.12 leaves bytes from 10 on as they are (K 7.9) */
    all[count].iov_base = wire;
    all[count++].iov_len = tun->vnet_hdr_len;
    for (i = 0; i < iov_count; i++) all[count++] = iov[i];
    all[count].iov_base = &spare;
    all[count++].iov_len = 1;
    if (tun->polls_first && (returned = tuoi_ready(&tun->waiter, 0)) < 0) return returned;
    returned = tuoi_sys(readv(tun->waiter.fd, all, count));
    if (returned < 0) return returned;
    len = (size_t)returned;
    if (len <= tun->vnet_hdr_len) return -EAGAIN; /* no packet: nothing to hand out */
    len -= tun->vnet_hdr_len;
    if (len > capacity) return (int)len;
    TUO_MEMSET(vnet, 0, sizeof *vnet);
    if (tun->vnet_hdr_len && tuo_vnet_decode(wire, sizeof wire, tun->vnet_hdr_len, tun->order, vnet) != TUO_OK)
        return -EPROTO;
    tun->rx.stats.rx_reads++;
    tun->rx.stats.rx_bytes += len;
    tun->rx.stats.rx_superpackets += vnet->gso_type != tuoi_gso_tunnel(vnet->gso_type); /* K 3.23 */
    return (int)len;
}

/* Does the errno of a read concern one packet, which is lost by that (K 2.8, K 2.19, K 7.16)? */
static int tuoi_tun_read_lost(tuo_tun *tun, int returned) {
    if (returned != -EINVAL && (returned != -EFAULT || tuoi_tun_is_gone(tun))) return 0;
    __atomic_store_n(&tun->rx.last_errno, -returned, __ATOMIC_RELAXED);
    tun->rx.stats.rx_refused++;
    return 1;
}

/* As above until there is a packet or a reason why not; waits: for one, if there is none. TUO_MORE
   after a number of packets that a read has lost, so that a flood of them does not keep the caller
   from a wake-up. */
static tuo_result tuoi_tun_recv(tuo_tun *tun, int waits, const struct iovec *iov, size_t iov_count,
                                tuo_vnet_hdr *vnet, size_t *len) {
    tuo_result result = TUO_AGAIN;
    int returned, tries;
    size_t i, capacity = 0;
    for (i = 0; i < iov_count; i++) capacity += iov[i].iov_len;
    for (tries = 0; tries < TUOI_READ_TRIES;) {
        returned = tuoi_tun_readv(tun, iov, iov_count, capacity, vnet);
        if (returned >= 0 && (size_t)returned > capacity) {
            tun->rx.stats.rx_truncated++;
            return TUO_E_NOSPACE;
        }
        if (returned >= 0) {
            *len = (size_t)returned;
            return TUO_OK;
        }
        if (tuoi_tun_read_lost(tun, returned)) {
            tries++;
        } else if (!tuoi_tun_retry(tun, 0, waits, returned, &tun->rx.last_errno, &result)) {
            TUO_ASSERT(result != TUO_OK);
            return result;
        }
    }
    return TUO_MORE;
}

TUO_API tuo_result tuo_tun_recv_iov(tuo_tun *tun, const struct iovec *iov, size_t iov_count, tuo_vnet_hdr *vnet,
                                    size_t *len) {
    size_t i, capacity = 0;
    tuo_result result;
    if (iov_count > TUOI_RECV_IOV_MAX) return TUO_E_INVALID;
    for (i = 0; i < iov_count; i++) {
        /* EINVAL of the kernel speaks of packets */
        if (iov[i].iov_len > TUOI_RECV_CAPACITY_MAX - capacity) return TUO_E_INVALID;
        capacity += iov[i].iov_len;
    }
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    result = tuoi_tun_recv(tun, tun->desc.blocking, iov, iov_count, vnet, len);
    return tuoi_leave(&tun->waiter, result == TUO_MORE ? TUO_AGAIN : result);
}

TUO_API tuo_result tuo_tun_recv(tuo_tun *tun, void *bytes, size_t capacity, tuo_vnet_hdr *vnet, size_t *len) {
    struct iovec iov;
    iov.iov_base = bytes;
    iov.iov_len = capacity;
    return tuo_tun_recv_iov(tun, &iov, 1, vnet, len);
}

/* The next packet to split into rx.gso. A packet that contradicts its header is counted and
   skipped. */
static tuo_result tuoi_tun_recv_next(tuo_tun *tun, int waits) {
    tuoi_tun_rx *const rx = &tun->rx;
    tuo_vnet_hdr vnet;
    struct iovec iov;
    size_t len = 0;
    tuo_result result;
    iov.iov_base = rx->bytes + TUOI_RX_ROOM;
    iov.iov_len = TUOI_RX_LEN;
    result = tuoi_tun_recv(tun, waits, &iov, 1, &vnet, &len);
    if (result != TUO_OK) return result;
    rx->splitting = tuo_gso_init(&rx->gso, rx->bytes + TUOI_RX_ROOM, len, &vnet, tuoi_tun_frame_flags(tun)) == TUO_OK;
    if (!rx->splitting) rx->stats.rx_refused++;
    return TUO_OK;
}

static tuo_result tuoi_tun_recv_batch(tuo_tun *tun, const tuo_buf_ops *ops, void *const *bufs, size_t count,
                                      size_t offset, size_t *received) {
    tuoi_tun_rx *const rx = &tun->rx;
    tuo_result result = TUO_OK;
    int refused = 0;
    while (*received < count) {
        size_t written = 0;
        if (!rx->splitting) {
            /* the next one would be cut apart, and coalesced in two */
            if (*received && rx->last_count > count - *received) break;
            result = tuoi_tun_recv_next(tun, tun->desc.blocking && *received == 0); /* waits for the first one only */
            if (result != TUO_OK) break;
            if (!rx->splitting) {
                if (++refused < TUOI_READ_TRIES) continue;
                result = TUO_MORE; /* as in tuoi_tun_recv */
                break;
            }
            rx->last_count = tuo_gso_count(&rx->gso);
        }
        result = tuo_gso_split(&rx->gso, ops, bufs + *received, count - *received, offset, &written);
        *received += written;
        rx->stats.rx_segments += written;
        rx->splitting = tuo_gso_remaining(&rx->gso) != 0;
        if (result < 0) break;
        result = TUO_OK;
    }
    if (*received) return TUO_OK;
    return result == TUO_MORE ? TUO_AGAIN : result;
}

TUO_API tuo_result tuo_tun_recv_batch(tuo_tun *tun, const tuo_buf_ops *ops, void *const *bufs, size_t count,
                                      size_t offset, size_t *received) {
    *received = 0;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    return tuoi_leave(&tun->waiter, tuoi_tun_recv_batch(tun, ops, bufs, count, offset, received));
}

TUO_API void tuo_tun_recv_discard(tuo_tun *tun) {
    if (tun->rx.splitting) tun->rx.stats.rx_truncated += tuo_gso_remaining(&tun->rx.gso);
    tun->rx.splitting = 0;
}

/* --- receiving in an event loop --- */

/* Makes sure that a segment is there, or says why not. */
static tuo_result tuoi_tun_next_ready(tuo_tun *tun) {
    tuoi_tun_rx *const rx = &tun->rx;
    tuo_result result = TUO_OK;
    int refused;
    for (refused = 0; !rx->splitting && refused < TUOI_READ_TRIES; refused++) {
        if (rx->round.reads && tuoi_round_over(&rx->round)) break;
        result = tuoi_tun_recv_next(tun, tun->desc.blocking && rx->round.reads == 0); /* waits for the first one only */
        if (result == TUO_E_NOSPACE) result = TUO_OK; /* longer than any packet: lost, and counted */
        if (result != TUO_OK) break;
        if (rx->splitting) tuoi_round_read(&rx->round, tuo_gso_count(&rx->gso));
    }
    if (rx->splitting) return TUO_OK;
    if (result == TUO_AGAIN) {
        tuoi_round_found_nothing(&rx->round);
    } else {
        tuoi_round_begin(&rx->round);
    }
    if (result == TUO_AGAIN && tun->desc.blocking) return TUO_MORE;
    return result == TUO_OK ? TUO_MORE : result;
}

/* A segment is done with. */
static void tuoi_tun_next_took(tuoi_tun_rx *rx, size_t len) {
    rx->splitting = tuo_gso_remaining(&rx->gso) != 0;
    tuoi_round_took(&rx->round, len);
}

/* Not inlined, as the next one: gcc then warns of a packet that the caller may find uninitialised. */
static TUOI_NOINLINE tuo_result tuoi_tun_next(tuo_tun *tun, tuo_buf *packet) {
    tuoi_tun_rx *const rx = &tun->rx;
    tuo_result result = tuoi_tun_next_ready(tun);
    if (result != TUO_OK) return result;
    result = tuo_gso_next_in_place(&rx->gso, rx->bytes + TUOI_RX_ROOM, packet);
    TUO_ASSERT(result == TUO_OK);
    if (result != TUO_OK) return result;
    rx->stats.rx_segments++;
    tuoi_tun_next_took(rx, packet->len);
    return TUO_OK;
}

TUO_API tuo_result tuo_tun_next(tuo_tun *tun, tuo_buf *packet) {
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    return tuoi_leave(&tun->waiter, tuoi_tun_next(tun, packet));
}

/* The next segment does not fit: its first bytes, and what it would have been. */
static tuo_result tuoi_tun_next_cut(tuoi_tun_rx *rx, uint8_t *dst, size_t capacity, size_t *len) {
    tuo_segment segment;
    size_t i, done = 0;
    tuo_result result = tuo_gso_next(&rx->gso, NULL, &segment);
    TUO_ASSERT(result == TUO_OK);
    if (result != TUO_OK) return result;
    for (i = 0; i < segment.iov_count && done < capacity; i++) {
        const size_t n = segment.iov[i].len < capacity - done ? segment.iov[i].len : capacity - done;
        if (n) TUO_MEMCPY(dst + done, segment.iov[i].base, n);
        done += n;
    }
    *len = segment.len;
    rx->stats.rx_truncated++;
    tuoi_tun_next_took(rx, segment.len);
    return TUO_E_NOSPACE;
}

static TUOI_NOINLINE tuo_result tuoi_tun_next_copy(tuo_tun *tun, void *dst, size_t capacity, size_t *len) {
    tuoi_tun_rx *const rx = &tun->rx;
    tuo_buf buf;
    void *bufs[1];
    size_t written;
    tuo_result result = tuoi_tun_next_ready(tun);
    if (result != TUO_OK) return result;
    buf.data = (uint8_t *)dst;
    buf.len = 0;
    buf.capacity = capacity;
    bufs[0] = &buf;
    result = tuo_gso_split(&rx->gso, NULL, bufs, 1, 0, &written);
    if (result < 0) return tuoi_tun_next_cut(rx, buf.data, capacity, len);
    *len = buf.len;
    rx->stats.rx_segments++;
    tuoi_tun_next_took(rx, buf.len);
    return TUO_OK;
}

TUO_API tuo_result tuo_tun_next_copy(tuo_tun *tun, void *dst, size_t capacity, size_t *len) {
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    return tuoi_leave(&tun->waiter, tuoi_tun_next_copy(tun, dst, capacity, len));
}

TUO_API int tuo_tun_pending(const tuo_tun *tun) { return tun->rx.splitting; }

/* --- sending --- */

/* 0: a write would not wait, as far as can be told. Or -errno. */
static int tuoi_tun_room(const tuo_tun *tun) {
    const int returned = tun->polls_first ? tuoi_ready(&tun->waiter, 1) : 0;
    return returned == -EAGAIN && tuoi_tun_is_down(tun) ? 0 : returned; /* the write fails at once, and says so */
}

/* One writev; bytes written, or -errno. */
static int tuoi_tun_write(const tuo_tun *tun, const tuo_iov *iov, size_t iov_count) {
    const int returned =
        tuoi_sys(writev(tun->waiter.fd, (const struct iovec *)(const void *)iov, (int)iov_count));
    return returned == 0 ? -EINVAL : returned; /* no bytes at all: the kernel does not even ask the device */
}

/* One writev, waited for if the queue is a blocking one. */
static tuo_result tuoi_tun_writev_as_is(tuo_tun *tun, const tuo_iov *iov, size_t iov_count) {
    tuoi_tun_tx *const tx = &tun->tx;
    tuo_result result = TUO_OK;
    int returned;
    do {
        tx->no_memory = 0;
        returned = tuoi_tun_room(tun);
        if (returned == 0) {
            returned = tuoi_tun_write(tun, iov, iov_count);
            tx->no_memory = returned == -ENOBUFS || returned == -ENOMEM;
        }
        if (returned >= 0) {
            tx->stats.tx_writes++;
            tx->stats.tx_bytes += (uint64_t)returned - tun->vnet_hdr_len;
            return TUO_OK;
        }
    } while (tuoi_tun_retry(tun, 1, tun->desc.blocking, returned, &tx->last_errno, &result));
    tx->stats.tx_again += result == TUO_AGAIN;
    return result;
}

/* The pieces of one write as IFF_NAPI_FRAGS takes them (K 2.12): the vnet header; the packet's
   first piece, of any length, which may be in one with it; then pieces of 1 byte to a page.
   Returns their number; 0 if there would be too many. */
static size_t tuoi_tun_cut_frags(size_t vnet_len, const tuo_iov *iov, size_t iov_count,
                                 tuo_iov frags[TUOI_FRAGS_MAX + 2]) {
    size_t i, count = 0, behind = 0;
    int begun = 0;
    for (i = 0; i < iov_count; i++) {
        tuo_iov piece = iov[i];
        while (piece.len) {
            if (begun && behind++ == TUOI_FRAGS_MAX) return 0;
            frags[count] = piece;
            if (begun && piece.len > TUOI_FRAG_LEN) frags[count].len = TUOI_FRAG_LEN;
            piece.base = (const uint8_t *)piece.base + frags[count].len;
            piece.len -= frags[count].len;
            begun |= i > 0 || frags[count].len > vnet_len;
            count++;
        }
    }
    return count;
}

static int tuoi_tun_tx_collect(tuoi_tun_tx *tx, const tuo_iov *piece, size_t *len) {
    if (piece->len > sizeof tx->scratch - *len) return 0;
    if (piece->len) TUO_MEMCPY(tx->scratch + *len, piece->base, piece->len);
    *len += piece->len;
    return 1;
}

/* A packet of more pieces is put together in scratch, from its second piece on. Scratch is free
   then: segments that lie there have few pieces. A packet too long for it is left for the kernel
   to refuse. */
static TUOI_NOINLINE tuo_result tuoi_tun_writev_frags(tuo_tun *tun, const tuo_iov *iov, size_t iov_count) {
    tuo_iov frags[TUOI_FRAGS_MAX + 2], few[3];
    const size_t vnet_len = tun->vnet_hdr_len, kept = iov[0].len > vnet_len ? 1 : 2;
    size_t i, count = tuoi_tun_cut_frags(vnet_len, iov, iov_count, frags);
    if (count) return tuoi_tun_writev_as_is(tun, frags, count);
    for (i = 0; i < kept; i++) few[i] = iov[i];
    few[kept].base = tun->tx.scratch;
    few[kept].len = 0;
    for (; i < iov_count; i++) {
        if (!tuoi_tun_tx_collect(&tun->tx, &iov[i], &few[kept].len)) return tuoi_tun_writev_as_is(tun, iov, iov_count);
    }
    count = tuoi_tun_cut_frags(vnet_len, few, kept + 1, frags); /* 0: nothing at all is to be written */
    return tuoi_tun_writev_as_is(tun, frags, count);
}

static tuo_result tuoi_tun_writev(tuo_tun *tun, const tuo_iov *iov, size_t iov_count) {
    return tun->napi_frags ? tuoi_tun_writev_frags(tun, iov, iov_count) : tuoi_tun_writev_as_is(tun, iov, iov_count);
}

/* One packet in pieces: the first, and those behind it. So headers made here go in front of a list
   of the caller's without a copy of it, or in the place of its first bytes. */
typedef struct tuoi_pieces {
    tuo_iov first;
    const tuo_iov *rest;
    size_t rest_count;
    size_t replaced; /* bytes at the start of the rest that the first stands for */
} tuoi_pieces;

static tuoi_pieces tuoi_pieces_of(const tuo_iov *iov, size_t iov_count) {
    static const tuo_iov nothing = { NULL, 0 };
    tuoi_pieces pieces;
    pieces.first = iov_count ? iov[0] : nothing;
    pieces.rest = iov_count ? iov + 1 : iov;
    pieces.rest_count = iov_count ? iov_count - 1 : 0;
    pieces.replaced = 0;
    return pieces;
}

/* A piece without its first *replaced bytes, which are counted down. */
static tuo_iov tuoi_piece_behind(tuo_iov piece, size_t *replaced) {
    const size_t len = piece.len < *replaced ? piece.len : *replaced;
    if (len) piece.base = (const uint8_t *)piece.base + len;
    piece.len -= len;
    *replaced -= len;
    return piece;
}

enum { TUOI_PIECES_FEW = 14 }; /* behind the first; more need 16 KiB of stack */

/* wire: room for the vnet header. all: room for the pieces and one more. */
static tuo_result tuoi_tun_write_listed(tuo_tun *tun, const tuo_vnet_hdr *vnet, const tuoi_pieces *pieces,
                                        uint8_t *wire, tuo_iov *all) {
    size_t replaced = pieces->replaced, i;
    tuoi_vnet_write(wire, tun->vnet_hdr_len, tun->order, vnet);
    all[0].base = wire;
    all[0].len = tun->vnet_hdr_len;
    all[1] = pieces->first;
    if (pieces->rest_count) TUO_MEMCPY(all + 2, pieces->rest, pieces->rest_count * sizeof *all);
    for (i = 2; replaced && i < pieces->rest_count + 2; i++) all[i] = tuoi_piece_behind(all[i], &replaced);
    return tuoi_tun_writev(tun, all, pieces->rest_count + 2);
}

static TUOI_NOINLINE tuo_result tuoi_tun_write_many(tuo_tun *tun, const tuo_vnet_hdr *vnet, const tuoi_pieces *pieces) {
    uint8_t wire[TUO_VNET_LEN_MAX];
    tuo_iov all[TUOI_TX_IOV_MAX];
    return tuoi_tun_write_listed(tun, vnet, pieces, wire, all);
}

static tuo_result tuoi_tun_write_pieces(tuo_tun *tun, const tuo_vnet_hdr *vnet, const tuoi_pieces *pieces) {
    uint8_t wire[TUO_VNET_LEN_MAX];
    tuo_iov all[TUOI_PIECES_FEW + 2];
    if (pieces->rest_count > TUOI_PIECES_FEW) return tuoi_tun_write_many(tun, vnet, pieces);
    return tuoi_tun_write_listed(tun, vnet, pieces, wire, all);
}

/* One packet without offloads. What the kernel does not take as a packet is counted and gone:
   nothing else could be done with it. */
static tuo_result tuoi_tun_write_single(tuo_tun *tun, const tuo_iov *iov, size_t iov_count) {
    const tuo_vnet_hdr zero = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    const tuoi_pieces pieces = tuoi_pieces_of(iov, iov_count);
    const tuo_result result = tuoi_tun_write_pieces(tun, &zero, &pieces);
    tun->tx.stats.tx_refused_packets += result == TUO_E_REFUSED;
    return result;
}

static tuoi_feature *tuoi_tun_tx_feature(tuo_tun *tun) {
    return &tun->tx.features[tuoi_feature_of(tun->tx.sp.vnet.gso_type)];
}

/* The superpacket of GRO was taken. */
static void tuoi_tun_tx_taken(tuo_tun *tun) {
    tun->tx.stats.tx_superpackets++;
    tuoi_tun_tx_feature(tun)->refused = 0;
}

/* It was refused: too many refusals in a row switch its protocol off. GRO hears of it with the next
   batch. A lack of memory is no refusal. */
static void tuoi_tun_tx_refused(tuo_tun *tun) {
    tuoi_feature *const f = tuoi_tun_tx_feature(tun);
    tun->tx.stats.tx_refused_superpackets++;
    if (tun->tx.innocent || ++f->refused < tun->desc.refusal_limit || f->off) return;
    f->off = 1;
    f->off_since = tun->tx.stats.tx_packets;
    tun->tx.stats.switched_off++;
}

/* May packets pass where their superpacket did not? Yes if it was refused for what it is, or if
   there was no memory for it. EIO can be the device as well: the packets themselves will tell. */
static int tuoi_tun_tx_resends(const tuo_tun *tun, tuo_result result) {
    return result == TUO_E_REFUSED || result == TUO_E_DOWN || tun->tx.no_memory;
}

/* Each step writes what is pending and says TUO_OK when it is done. What could not be written stays
   pending. */
static tuo_result tuoi_tun_tx_emitted(tuo_tun *tun) {
    tuoi_tun_tx *const tx = &tun->tx;
    const int superpacket = tx->sp.packet_count > 1;
    const tuo_result result = tuoi_tun_writev(tun, tx->sp.iov, tx->sp.iov_count);
    if (superpacket && tuoi_tun_tx_resends(tun, result)) {
        tx->next_user = 0;
        tx->innocent = tx->no_memory;
        tx->pending = TUOI_PENDING_SINGLES;
        return TUO_OK;
    }
    if (result == TUO_OK && superpacket) tuoi_tun_tx_taken(tun);
    if (!superpacket) tx->stats.tx_refused_packets += result == TUO_E_REFUSED;
    if (result != TUO_OK && result != TUO_E_REFUSED) return result;
    tx->pending = TUOI_PENDING_NONE;
    return TUO_OK;
}

static tuo_result tuoi_tun_tx_singles(tuo_tun *tun) {
    tuoi_tun_tx *const tx = &tun->tx;
    while (tx->next_user < tx->sp.packet_count) {
        void *const buf = tx->sp.users[tx->next_user];
        const size_t len = tx->ops.len(tx->ops.user, buf);
        tuo_iov packet;
        tuo_result result;
        if (len <= tx->offset) { /* emptied while it was held */
            tx->next_user++;
            continue;
        }
        packet.base = tx->ops.data(tx->ops.user, buf) + tx->offset;
        packet.len = len - tx->offset;
        result = tuoi_tun_write_single(tun, &packet, 1);
        /* it was the device, not the superpacket */
        if ((result == TUO_E_DOWN || result == TUO_E_SYSTEM) && tx->next_user == 0) tx->pending = TUOI_PENDING_EMITTED;
        if (result != TUO_OK && result != TUO_E_REFUSED) return result;
        /* the device works: it was the superpacket */
        if (tx->next_user++ == 0) tuoi_tun_tx_refused(tun);
        tx->stats.tx_resent_packets += result == TUO_OK;
    }
    tx->pending = TUOI_PENDING_NONE;
    return TUO_OK;
}

static tuo_result tuoi_tun_tx_split(tuo_tun *tun) {
    tuoi_tun_tx *const tx = &tun->tx;
    for (;;) {
        tuo_result result;
        if (!tx->segment_ready && tuo_gso_next(&tx->gso, NULL, &tx->segment) != TUO_OK) break;
        tx->segment_ready = 1;
        result = tuoi_tun_write_single(tun, tx->segment.iov, tx->segment.iov_count);
        if (result != TUO_OK && result != TUO_E_REFUSED) return result;
        tx->segment_ready = 0;
        tx->stats.tx_resent_packets += result == TUO_OK;
    }
    tx->pending = TUOI_PENDING_NONE;
    return TUO_OK;
}

/* Write everything that is held. */
static tuo_result tuoi_tun_tx_drain(tuo_tun *tun) {
    tuoi_tun_tx *const tx = &tun->tx;
    for (;;) {
        tuo_result result = TUO_OK;
        switch ((int)tx->pending) {
            case TUOI_PENDING_EMITTED: result = tuoi_tun_tx_emitted(tun); break;
            case TUOI_PENDING_SINGLES: result = tuoi_tun_tx_singles(tun); break;
            case TUOI_PENDING_SPLIT: result = tuoi_tun_tx_split(tun); break;
            default:
                if (tuo_gro_next(tx->gro, &tx->sp) != TUO_OK) return TUO_OK;
                tx->pending = TUOI_PENDING_EMITTED;
        }
        if (result != TUO_OK) return result;
    }
}

/* With nothing held: give a protocol that is off another chance, and let GRO know what is on. */
static tuo_result tuoi_tun_tx_configure(tuo_tun *tun) {
    tuo_gro_desc desc;
    int i;
    for (i = 0; i < TUOI_FEATURES; i++) {
        tuoi_feature *const f = &tun->tx.features[i];
        if (!f->off || tun->tx.stats.tx_packets - f->off_since < tun->desc.retry_after) continue;
        f->off = 0;
        f->refused = tun->desc.refusal_limit - 1; /* one more refusal is enough this time */
    }
    desc = tuoi_tun_tx_gro_desc(tun);
    return tuo_gro_reconfigure(tun->tx.gro, &desc);
}

static int tuoi_tun_tx_holds(const tuoi_tun_tx *tx) {
    return tx->pending != TUOI_PENDING_NONE || tuoi_gro_holds(tx->gro);
}

/* One buffer to GRO. One without a packet counts as taken: there is nothing to write. */
static tuo_verdict tuoi_tun_tx_take(tuoi_tun_tx *tx, void *buf, unsigned hint) {
    const size_t len = tx->ops.len(tx->ops.user, buf);
    if (len <= tx->offset) return TUO_V_TRUNCATED;
    return tuo_gro_push(tx->gro, tx->ops.data(tx->ops.user, buf) + tx->offset, len - tx->offset, buf, hint);
}

/* Is a packet too short because the length of its buffer leaves out the headroom? Perhaps nothing is left
   of it. */
static int tuoi_tun_tx_is_headroom_short(const tuo_tun *tun, void *buf) {
    const tuoi_tun_tx *const tx = &tun->tx;
    const size_t len = tx->ops.len(tx->ops.user, buf);
    TUO_ASSERT(len == 0 || len >= tx->offset); /* the length counts the headroom */
    if (len <= tx->offset) return len != 0;
    return tuoi_headroom_short(tx->ops.data(tx->ops.user, buf) + tx->offset, len - tx->offset, tx->offset,
                               tuoi_tun_frame_flags(tun));
}

/* Buffers of the caller's that an earlier call has left may hold other bytes by now, or other
   packets. So what merges is decided and verified anew, from the bytes as they are (P2 of the
   promises: never a checksum that was verified over others). Of a refused superpacket the rest
   leaves singly anyway: as it is, under its own checksums. */
static tuo_result tuoi_tun_tx_recheck(tuo_tun *tun) {
    tuoi_tun_tx *const tx = &tun->tx;
    size_t i, count = 0;
    tuo_result result = tx->pending == TUOI_PENDING_SINGLES ? tuoi_tun_tx_singles(tun) : TUO_OK;
    if (result != TUO_OK) return result;
    while (tx->pending == TUOI_PENDING_EMITTED || tuo_gro_next(tx->gro, &tx->sp) == TUO_OK) {
        for (i = 0; i < tx->sp.packet_count; i++) tx->held[count++] = tx->sp.users[i];
        tx->pending = TUOI_PENDING_NONE;
    }
    tx->recheck = 0;
    result = tuoi_tun_tx_configure(tun);
    for (i = 0; i < count; i++) {
        const tuo_verdict verdict = tuoi_tun_tx_take(tx, tx->held[i], 0);
        TUO_ASSERT(verdict != TUO_V_NO_ROOM); /* there were as many before */
        (void)verdict;
    }
    return result;
}

/* Everything inside is lost. */
static void tuoi_tun_tx_drop(tuoi_tun_tx *tx, uint64_t *counter) {
    if (tx->pending == TUOI_PENDING_EMITTED) *counter += tx->sp.packet_count;
    if (tx->pending == TUOI_PENDING_SINGLES) *counter += tx->sp.packet_count - tx->next_user;
    if (tx->pending == TUOI_PENDING_SPLIT) *counter += tuo_gso_remaining(&tx->gso) + (tx->segment_ready != 0);
    while (tuo_gro_next(tx->gro, &tx->sp) == TUO_OK) *counter += tx->sp.packet_count;
    tx->pending = TUOI_PENDING_NONE;
    tx->segment_ready = 0;
}

/* Write everything that is inside. What the device does not take now stays; what it will not take
   is dropped and counted. */
static tuo_result tuoi_tun_tx_flush(tuo_tun *tun) {
    tuoi_tun_tx *const tx = &tun->tx;
    tuo_result result = tx->recheck ? tuoi_tun_tx_recheck(tun) : TUO_OK;
    if (result == TUO_OK) result = tuoi_tun_tx_drain(tun);
    if (result == TUO_E_DOWN && (tx->own || !tun->desc.hold_when_down)) {
        tuoi_tun_tx_drop(tx, &tx->stats.tx_dropped_down);
    } else if ((result == TUO_E_GONE || result == TUO_E_SYSTEM) && tx->own) {
        tuoi_tun_tx_drop(tx, &tx->stats.tx_dropped_error);
    }
    if (!tuoi_tun_tx_holds(tx)) {
        tx->pushed_len = 0;
        tx->recheck = 0;
    } else {
        tx->recheck = !tx->own;
    }
    return result;
}

/* Some buffers to GRO, as many as have a packet, or one that has none: that one counts as taken, since
   there is nothing to write. Returns the number taken. *full: GRO has no room for the next packet. */
static size_t tuoi_tun_tx_take_run(tuo_tun *tun, void *const *bufs, size_t count, int *full) {
    enum { RUN = 32 };
    tuoi_tun_tx *const tx = &tun->tx;
    tuo_packet packets[RUN];
    tuo_verdict verdicts[RUN];
    size_t i, taken;
    for (i = 0; i < count && i < RUN; i++) {
        const size_t len = tx->ops.len(tx->ops.user, bufs[i]);
        if (len <= tx->offset) break;
        packets[i].bytes = tx->ops.data(tx->ops.user, bufs[i]) + tx->offset;
        packets[i].len = len - tx->offset;
        packets[i].user = bufs[i];
    }
    if (i == 0) {
        tx->stats.headroom_short += (uint64_t)tuoi_tun_tx_is_headroom_short(tun, bufs[0]);
        return 1;
    }
    taken = tuo_gro_push_batch(tx->gro, packets, i, 0, verdicts);
    *full = taken < i;
    for (i = 0; i < taken; i++) {
        if (tuoi_is_short(verdicts[i]) && tuoi_tun_tx_is_headroom_short(tun, bufs[i])) tx->stats.headroom_short++;
    }
    tx->stats.tx_packets += taken;
    return taken;
}

static tuo_result tuoi_tun_tx_batch(tuo_tun *tun, void *const *bufs, size_t count, size_t *taken) {
    tuo_result result = tuoi_tun_tx_configure(tun);
    while (result == TUO_OK && *taken < count) {
        int full = 0;
        while (!full && *taken < count) *taken += tuoi_tun_tx_take_run(tun, bufs + *taken, count - *taken, &full);
        result = tuoi_tun_tx_flush(tun);
    }
    return result;
}

TUO_API tuo_result tuo_tun_send_batch(tuo_tun *tun, const tuo_buf_ops *ops, void *const *bufs, size_t count,
                                      size_t offset, size_t *taken) {
    tuo_result result;
    *taken = 0;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    result = tuoi_tun_tx_flush(tun);
    if (result == TUO_OK) {
        tun->tx.own = 0;
        tun->tx.ops = ops ? *ops : tuoi_plain_ops;
        tun->tx.offset = offset;
        result = tuoi_tun_tx_batch(tun, bufs, count, taken);
    }
    return tuoi_leave(&tun->waiter, result);
}

/* --- sending in an event loop --- */

static int tuoi_tun_gro_full(const tuo_gro *gro) {
    return !gro->drained && gro->record_count == gro->desc.max_packets;
}

/* Room for a packet, by writing what is there, if need be. TUO_AGAIN: there is none. */
static tuo_result tuoi_tun_push_room(tuo_tun *tun, size_t room) {
    tuoi_tun_tx *const tx = &tun->tx;
    if (!tx->own || tx->pushed_capacity - tx->pushed_len < room || tuoi_tun_gro_full(tx->gro)) {
        const tuo_result result = tuoi_tun_tx_flush(tun);
        if (result < 0 && result != TUO_E_WOKEN) tx->failed = result;
        if (result == TUO_E_GONE) return result;
        if (tuoi_tun_tx_holds(tx)) return TUO_AGAIN;
    }
    if (tx->pushed_len) return TUO_OK;
    tx->own = 1;
    tx->ops = tuoi_plain_ops;
    tx->offset = 0;
    return tuoi_tun_tx_configure(tun);
}

/* Copied and summed in one pass. The sum of a piece that starts at an odd byte counts with its bytes
   swapped (RFC 1071 2B). */
static uint64_t tuoi_tun_push_copy(const tuoi_sums *sums, uint8_t *dst, const tuo_iov *iov, size_t iov_count) {
    uint64_t total = 0;
    size_t i, done = 0;
    for (i = 0; i < iov_count; i++) {
        uint32_t sum;
        if (iov[i].len == 0) continue;
        sum = tuoi_fold(sums->copy_sum(dst + done, (const uint8_t *)iov[i].base, iov[i].len, 0));
        total += done & 1 ? (sum & 0xFFu) << 8 | sum >> 8 : sum;
        done += iov[i].len;
    }
    return total;
}

/* Does the sum of all its bytes show that the TCP or UDP checksum is right? Only of packets of the
   usual shape, in which every byte behind the IP header counts. Taking away is adding the
   complement (RFC 1071 1). */
static unsigned tuoi_tun_push_hint(const tuo_tun *tun, const uint8_t *bytes, size_t len, uint64_t total) {
    const uint32_t ip_off = tun->is_tap ? (uint32_t)TUOI_ETH_LEN : 0;
    tuoi_facts facts;
    if (!tuoi_parse_plain(bytes, len, ip_off, 1, &facts) && !tuoi_parse_plain(bytes, len, ip_off, 0, &facts)) return 0;
    total += 0xFFFFu ^ tuoi_fold(tuoi_scalar(NULL, bytes, facts.shape.l4_off, 0));
    total += tuoi_pseudo_raw(bytes, &facts.shape, (uint32_t)len - facts.shape.l4_off);
    return tuoi_fold(total) == 0xFFFFu ? (unsigned)TUO_F_TRUST_L4 : 0u;
}

static tuo_result tuoi_tun_push(tuo_tun *tun, const tuo_iov *iov, size_t iov_count, size_t len) {
    tuoi_tun_tx *const tx = &tun->tx;
    const size_t room = tuoi_align_up(sizeof(tuo_buf) + len);
    tuo_result result = tuoi_tun_push_room(tun, room);
    tuo_buf *buf;
    uint64_t total;
    tuo_verdict verdict;
    tx->stats.tx_packets++;
    tx->stats.tx_dropped_full += result == TUO_AGAIN;
    tx->stats.tx_dropped_error += result < 0;
    if (result != TUO_OK) return result;
    buf = (tuo_buf *)(void *)(tx->pushed + tx->pushed_len);
    buf->data = (uint8_t *)buf + sizeof *buf;
    buf->len = buf->capacity = len;
    total = tuoi_tun_push_copy(tx->gro->sums, buf->data, iov, iov_count);
    verdict = tuoi_tun_tx_take(tx, buf, tuoi_tun_push_hint(tun, buf->data, len, total));
    TUO_ASSERT(verdict != TUO_V_NO_ROOM);
    (void)verdict;
    tx->pushed_len += room;
    return TUO_OK;
}

TUO_API tuo_result tuo_tun_push_iov(tuo_tun *tun, const tuo_iov *iov, size_t iov_count) {
    const size_t len_max = 0xFFFFu + (tun->is_tap ? (size_t)TUOI_ETH_LEN : 0);
    size_t i, len = 0;
    for (i = 0; i < iov_count; i++) {
        if (iov[i].len > len_max - len) return TUO_E_INVALID;
        len += iov[i].len;
    }
    if (len == 0) return TUO_E_INVALID;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    return tuoi_leave(&tun->waiter, tuoi_tun_push(tun, iov, iov_count, len));
}

TUO_API tuo_result tuo_tun_push(tuo_tun *tun, const void *bytes, size_t len) {
    tuo_iov iov;
    iov.base = bytes;
    iov.len = len;
    return tuo_tun_push_iov(tun, &iov, 1);
}

TUO_API tuo_result tuo_tun_flush(tuo_tun *tun) {
    tuo_result result;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    result = tuoi_tun_tx_flush(tun);
    if (result == TUO_AGAIN || result == TUO_E_WOKEN) return tuoi_leave(&tun->waiter, result); /* the rest later */
    if (result == TUO_OK) result = tun->tx.failed;
    tun->tx.failed = TUO_OK;
    return tuoi_leave(&tun->waiter, result);
}

TUO_API int tuo_tun_held(const tuo_tun *tun) { return tun->tx.pending != TUOI_PENDING_NONE; }

TUO_API void tuo_tun_discard(tuo_tun *tun) {
    tuo_gro_reset(tun->tx.gro);
    tun->tx.pending = TUOI_PENDING_NONE;
    tun->tx.segment_ready = 0;
    tun->tx.pushed_len = 0;
    tun->tx.recheck = 0;
    tun->tx.failed = TUO_OK;
}

/* Nothing of the sending half is touched: its thread may be at work. */
TUO_API tuo_result tuo_tun_inject(tuo_tun *tun, const void *pkt, size_t len) {
    static const uint8_t no_offloads[TUO_VNET_LEN_MAX] = { 0 };
    tuo_iov iov[2];
    int returned, ignored;
    iov[0].base = no_offloads;
    iov[0].len = tun->vnet_hdr_len;
    iov[1].base = pkt;
    iov[1].len = len;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    do {
        returned = tuoi_tun_room(tun);
        if (returned == 0) returned = tuoi_tun_write(tun, iov, 2);
    } while (returned == -EINTR);
    return tuoi_leave(&tun->waiter, returned >= 0 ? TUO_OK : tuoi_tun_failed(tun, 1, &ignored, returned));
}

TUO_API tuo_result tuo_tun_configure(tuo_tun *tun, const tuo_gro_desc *desc) {
    const tuo_gro_desc old = tun->tx.gro_desc;
    tuoi_feature features[TUOI_FEATURES];
    tuo_result result;
    if (tuoi_tun_tx_holds(&tun->tx)) return TUO_E_INVALID;
    TUO_MEMCPY(features, tun->tx.features, sizeof features);
    TUO_MEMSET(tun->tx.features, 0, sizeof features);
    tun->tx.gro_desc = *desc;
    result = tuoi_tun_tx_configure(tun);
    if (result != TUO_OK) {
        tun->tx.gro_desc = old;
        TUO_MEMCPY(tun->tx.features, features, sizeof features);
    }
    return result;
}

/* Copy the pieces to scratch, where they stay until they are written, and plan their split. */
static tuo_result tuoi_tun_tx_plan_split(tuo_tun *tun, const tuo_vnet_hdr *vnet, const tuoi_pieces *pieces) {
    tuoi_tun_tx *const tx = &tun->tx;
    size_t i, len = 0, replaced = pieces->replaced;
    tuo_result result;
    if (!tuoi_tun_tx_collect(tx, &pieces->first, &len)) return TUO_E_REFUSED;
    for (i = 0; i < pieces->rest_count; i++) {
        const tuo_iov piece = tuoi_piece_behind(pieces->rest[i], &replaced);
        if (!tuoi_tun_tx_collect(tx, &piece, &len)) return TUO_E_REFUSED;
    }
    /* its checksums were not verified yet */
    result = tuo_gso_init(&tx->gso, tx->scratch, len, vnet, tuoi_tun_frame_flags(tun));
    if (result != TUO_OK) return result;
    tx->pending = TUOI_PENDING_SPLIT;
    tx->own = 1;
    return TUO_OK;
}

/* Is there a vnet header that a device takes? Superpackets in tunnels are cut here (K 1.20). */
static int tuoi_tun_tx_can_say(const tuo_tun *tun, const tuo_vnet_hdr *vnet) {
    return tun->vnet_hdr_len && !tuoi_gso_tunnel(vnet->gso_type);
}

/* The kernel did not take it as one: split and write that. If an error meets the first segment
   already, it was the device and not the superpacket, which stays the caller's. Once a segment is
   written, the whole is taken, and what is left is held: a caller who sent it again would double
   what went out. */
static tuo_result tuoi_tun_tx_resend_split(tuo_tun *tun, const tuo_vnet_hdr *vnet, const tuoi_pieces *pieces) {
    tuoi_tun_tx *const tx = &tun->tx;
    const uint64_t refused = tx->stats.tx_refused_packets;
    tuo_result result = tuoi_tun_tx_plan_split(tun, vnet, pieces);
    if (result != TUO_OK) return result;
    result = tuoi_tun_tx_drain(tun);
    if (result < 0 && tuo_gso_remaining(&tx->gso) + 1 == tuo_gso_count(&tx->gso)) {
        tx->pending = TUOI_PENDING_NONE;
        tx->segment_ready = 0;
        return result;
    }
    if (result == TUO_OK && tx->stats.tx_refused_packets - refused == tuo_gso_count(&tx->gso)) return TUO_E_REFUSED;
    tx->stats.tx_packets++;
    tx->stats.tx_refused_superpackets += vnet->gso_type != TUO_GSO_NONE && tuoi_tun_tx_can_say(tun, vnet);
    return TUO_OK;
}

static tuo_result tuoi_tun_tx_send(tuo_tun *tun, const tuo_vnet_hdr *vnet, const tuoi_pieces *pieces) {
    const int offloaded = vnet->gso_type != TUO_GSO_NONE || (vnet->flags & TUO_VNET_NEEDS_CSUM);
    tuo_result result = tuoi_tun_tx_flush(tun);
    if (result != TUO_OK) return result;
    /* no way to say so: finish it here */
    if (offloaded && !tuoi_tun_tx_can_say(tun, vnet)) return tuoi_tun_tx_resend_split(tun, vnet, pieces);
    result = tuoi_tun_write_pieces(tun, vnet, pieces);
    if (offloaded && tuoi_tun_tx_resends(tun, result)) return tuoi_tun_tx_resend_split(tun, vnet, pieces);
    tun->tx.stats.tx_refused_packets += result == TUO_E_REFUSED;
    tun->tx.stats.tx_packets += result == TUO_OK;
    tun->tx.stats.tx_superpackets += result == TUO_OK && vnet->gso_type != TUO_GSO_NONE;
    return result;
}

static int tuoi_fill_length(uint8_t *field, size_t len) {
    if (tuoi_rd16(field) != 0 || len > 0xFFFFu) return 0;
    tuoi_wr16(field, (uint32_t)len);
    return 1;
}

/* The lengths of a superpacket that are 0 (K 1.16, 1.17), in its first bytes; 0: there are none. That
   of UDP follows from that of IP: behind the IP packet there may be other bytes. */
static int tuoi_fill_lengths(uint8_t *hdr, size_t hdr_len, size_t len, unsigned flags) {
    tuo_pkt_info info;
    uint8_t *ip;
    size_t ip_len;
    int filled;
    if (tuoi_parse(hdr, hdr_len, flags | TUOI_F_WHOLE, &info) != TUO_OK || info.kind == TUO_KIND_NONE) return 0;
    ip = hdr + info.ip_off;
    len -= info.ip_off;
    if (info.ip_version == 4) {
        const uint16_t checksum = tuoi_rd16(ip + TUOI_IP4_CSUM);
        filled = tuoi_fill_length(ip + TUOI_IP4_TOTAL, len);
        if (filled) tuoi_wr16(ip + TUOI_IP4_CSUM, tuo_csum_update16(checksum, 0, (uint16_t)len));
        ip_len = tuoi_rd16(ip + TUOI_IP4_TOTAL);
    } else {
        filled = tuoi_fill_length(ip + TUOI_IP6_PAYLOAD, len - TUOI_IP6_LEN);
        ip_len = TUOI_IP6_LEN + (size_t)tuoi_rd16(ip + TUOI_IP6_PAYLOAD);
    }
    if (tuoi_is_tcp(info.kind) || ip_len < info.ip_hdr_len + (size_t)TUOI_UDP_LEN || ip_len > len) return filled;
    return tuoi_fill_length(hdr + info.l4_off + TUOI_UDP_TOTAL, ip_len - info.ip_hdr_len) || filled;
}

/* The caller's bytes are const: filled lengths are in a copy of the first ones. */
static void tuoi_tun_tx_fill_lengths(const tuo_tun *tun, const tuo_iov *iov, size_t iov_count, uint8_t *hdr,
                                     tuoi_pieces *pieces) {
    size_t i, len = 0, hdr_len = 0;
    for (i = 0; i < iov_count; i++) {
        const size_t room = TUO_HEADER_MAX - hdr_len, taken = iov[i].len < room ? iov[i].len : room;
        if (taken) TUO_MEMCPY(hdr + hdr_len, iov[i].base, taken);
        hdr_len += taken;
        len += iov[i].len;
    }
    if (!tuoi_fill_lengths(hdr, hdr_len, len, tuoi_tun_frame_flags(tun))) return;
    pieces->first.base = hdr;
    pieces->first.len = pieces->replaced = hdr_len;
    pieces->rest = iov;
    pieces->rest_count = iov_count;
}

TUO_API tuo_result tuo_tun_send_iov(tuo_tun *tun, const tuo_iov *iov, size_t iov_count, const tuo_vnet_hdr *vnet) {
    const tuo_vnet_hdr zero = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    uint8_t hdr[TUO_HEADER_MAX];
    tuoi_pieces pieces = tuoi_pieces_of(iov, iov_count);
    if (iov_count > TUOI_TX_IOV_MAX - 1) return TUO_E_INVALID;
    if (vnet && vnet->gso_type != TUO_GSO_NONE) tuoi_tun_tx_fill_lengths(tun, iov, iov_count, hdr, &pieces);
    if (pieces.rest_count > TUOI_TX_IOV_MAX - 2) return TUO_E_INVALID;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    return tuoi_leave(&tun->waiter, tuoi_tun_tx_send(tun, vnet ? vnet : &zero, &pieces));
}

TUO_API tuo_result tuo_tun_send(tuo_tun *tun, const void *pkt, size_t len) {
    tuo_iov iov;
    iov.base = pkt;
    iov.len = len;
    return tuo_tun_send_iov(tun, &iov, 1, NULL);
}

/* Headers into one piece, with the fields that depend on the payload filled. */
static tuo_result tuoi_tun_tx_gso_headers(const tuo_tun *tun, const tuo_tun_parts *parts, uint8_t *hdr,
                                          uint32_t payload_len, tuo_vnet_hdr *vnet) {
    const size_t hdr_len = parts->ip_header_len + parts->l4_header_len;
    tuo_pkt_info info;
    tuoi_shape shape;
    tuo_result result;
    if (parts->ip_header_len < (tun->is_tap ? TUOI_ETH_LEN : 0) + TUOI_IP4_LEN || parts->l4_header_len == 0)
        return TUO_E_TRUNCATED;
    TUO_MEMCPY(hdr, parts->ip_header, parts->ip_header_len);
    TUO_MEMCPY(hdr + parts->ip_header_len, parts->l4_header, parts->l4_header_len);
    result = tuoi_parse(hdr, hdr_len, tuoi_tun_frame_flags(tun) | TUOI_F_WHOLE, &info);
    if (result != TUO_OK) return result;
    if (info.kind == TUO_KIND_NONE || info.payload_off != hdr_len || info.l4_off != parts->ip_header_len)
        return TUO_E_INVALID;
    /* the sum covers another destination than the header's */
    if (info.flags & TUO_PKT_ROUTING) return TUO_E_VNET_PROTOCOL;
    if (hdr_len - info.ip_off + payload_len > 0xFFFFu) return TUO_E_IP_LENGTH;
    shape = tuoi_shape_of(&info);
    tuoi_account_any(hdr, &shape, payload_len, parts->gso_size, vnet);
    return TUO_OK;
}

TUO_API tuo_result tuo_tun_send_gso(tuo_tun *tun, const tuo_tun_parts *parts) {
    uint8_t hdr[TUO_HEADER_MAX];
    tuoi_pieces pieces;
    tuo_vnet_hdr vnet;
    size_t i, payload_len = 0;
    tuo_result result;
    if (parts->payload_count > TUOI_TX_IOV_MAX - 3 || parts->gso_size == 0 || parts->gso_size == 0xFFFFu)
        return TUO_E_INVALID;
    if (parts->ip_header_len > sizeof hdr || parts->l4_header_len > sizeof hdr - parts->ip_header_len)
        return TUO_E_HEADER_TOO_LONG;
    for (i = 0; i < parts->payload_count; i++) {
        if (parts->payload[i].len > 0xFFFFu - payload_len) return TUO_E_IP_LENGTH;
        payload_len += parts->payload[i].len;
    }
    result = tuoi_tun_tx_gso_headers(tun, parts, hdr, (uint32_t)payload_len, &vnet);
    if (result != TUO_OK) return result;
    pieces.first.base = hdr;
    pieces.first.len = parts->ip_header_len + parts->l4_header_len;
    pieces.rest = parts->payload;
    pieces.rest_count = parts->payload_count;
    pieces.replaced = 0;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    return tuoi_leave(&tun->waiter, tuoi_tun_tx_send(tun, &vnet, &pieces));
}

/* --- probe --- */

enum { TUOI_PROBE_HDR_LEN = 40 + 20, TUOI_PROBE_GSO_SIZE = 16, TUOI_PROBE_PAYLOAD_MAX = 16 * 128 };

/* A superpacket from loopback to loopback: routed nowhere on any device but lo. */
static tuo_result tuoi_tun_probe_write(tuo_tun *tun, unsigned kind, uint32_t payload_len) {
    static const uint8_t payload[TUOI_PROBE_PAYLOAD_MAX] = { 0 };
    uint8_t hdr[TUOI_PROBE_HDR_LEN];
    tuoi_shape shape;
    tuo_vnet_hdr vnet;
    tuo_iov iov[2];
    tuoi_pieces pieces;
    const int ip4 = tuoi_is_ip4(kind), tcp = tuoi_is_tcp(kind);
    TUO_MEMSET(hdr, 0, sizeof hdr);
    shape.kind = (uint8_t)kind;
    shape.ip_off = 0;
    shape.l4_off = ip4 ? TUOI_IP4_LEN : TUOI_IP6_LEN;
    shape.hdr_len = shape.l4_off + (uint32_t)(tcp ? TUOI_TCP_LEN : TUOI_UDP_LEN);
    hdr[0] = ip4 ? 0x45 : 0x60;
    hdr[ip4 ? TUOI_IP4_PROTO : TUOI_IP6_NEXT] = tuoi_kinds[kind].l4_proto;
    if (ip4) {
        static const uint8_t loopback[8] = { 127, 0, 0, 1, 127, 0, 0, 1 };
        TUO_MEMCPY(hdr + TUOI_IP4_SRC, loopback, sizeof loopback);
    } else {
        hdr[TUOI_IP6_SRC + 15] = hdr[TUOI_IP6_SRC + 31] = 1;
    }
    if (tcp) {
        hdr[shape.l4_off + TUOI_TCP_DOFF] = TUOI_TCP_LEN / 4 << 4;
        hdr[shape.l4_off + TUOI_TCP_FLAGS] = 0x10;
    }
    tuoi_account(hdr, &shape, payload_len, TUOI_PROBE_GSO_SIZE, &vnet);
    iov[0].base = hdr;
    iov[0].len = shape.hdr_len;
    iov[1].base = payload;
    iov[1].len = payload_len;
    pieces = tuoi_pieces_of(iov, 2);
    return tuoi_tun_write_pieces(tun, &vnet, &pieces);
}

/* One finding: 1 taken, 0 refused. Anything else ends the probe. */
static uint8_t tuoi_tun_probe_one(tuo_tun *tun, unsigned kind, uint32_t payload_len, tuo_result *result) {
    tuo_result written;
    if (*result != TUO_OK) return 0;
    written = tuoi_tun_probe_write(tun, kind, payload_len);
    if (written != TUO_OK && written != TUO_E_REFUSED) *result = written;
    return written == TUO_OK;
}

static tuo_result tuoi_tun_probe(tuo_tun *tun, tuo_tun_probe_report *report) {
    static const uint32_t udp_segs[] = { 2, 64, TUOI_UDP_SEGS_MAX };
    tuo_tun_probe_report found;
    tuo_result result = tuoi_tun_tx_flush(tun);
    uint8_t even4, even6;
    size_t i;
    TUO_MEMSET(&found, 0, sizeof found);
    even4 = tuoi_tun_probe_one(tun, TUO_KIND_TCP4, 2 * TUOI_PROBE_GSO_SIZE, &result);
    even6 = tuoi_tun_probe_one(tun, TUO_KIND_TCP6, 2 * TUOI_PROBE_GSO_SIZE, &result);
    found.tcp4 = tuoi_tun_probe_one(tun, TUO_KIND_TCP4, 2 * TUOI_PROBE_GSO_SIZE - 1, &result) && even4;
    found.tcp6 = tuoi_tun_probe_one(tun, TUO_KIND_TCP6, 2 * TUOI_PROBE_GSO_SIZE - 1, &result) && even6;
    found.tcp4_short_tail_refused = even4 && !found.tcp4;
    found.tcp6_short_tail_refused = even6 && !found.tcp6;
    for (i = 0; i < sizeof udp_segs / sizeof udp_segs[0]; i++) {
        if (tuoi_tun_probe_one(tun, TUO_KIND_UDP4, udp_segs[i] * TUOI_PROBE_GSO_SIZE, &result))
            found.udp4_segs = udp_segs[i];
        if (tuoi_tun_probe_one(tun, TUO_KIND_UDP6, udp_segs[i] * TUOI_PROBE_GSO_SIZE, &result))
            found.udp6_segs = udp_segs[i];
    }
    if (result == TUO_OK) *report = found;
    return result;
}

TUO_API tuo_result tuo_tun_probe(tuo_tun *tun, tuo_tun_probe_report *report) {
    if (!tun->vnet_hdr_len || tun->is_tap) return TUO_E_UNSUPPORTED;
    if (!tuoi_enter(&tun->waiter)) return tuoi_leave(&tun->waiter, TUO_E_WOKEN);
    return tuoi_leave(&tun->waiter, tuoi_tun_probe(tun, report));
}

/* --- probe of tunnels, end to end --- */

enum {
    TUOI_TRIAL_COUNT = 3, TUOI_TRIAL_PAYLOAD = 100, TUOI_TRIAL_PORT = 4789,
    TUOI_TRIAL_OUTER_LEN = TUOI_IP4_LEN + TUOI_UDP_LEN,
    TUOI_TRIAL_IP_OFF = TUOI_TRIAL_OUTER_LEN + 8 + TUOI_ETH_LEN, /* of the inner packet, behind 8 bytes of VXLAN */
    TUOI_TRIAL_L4_OFF = TUOI_TRIAL_IP_OFF + TUOI_IP4_LEN,
    TUOI_TRIAL_HDR_LEN = TUOI_TRIAL_L4_OFF + TUOI_TCP_LEN,
    TUOI_TRIAL_LEN = TUOI_TRIAL_HDR_LEN + TUOI_TRIAL_PAYLOAD,
    TUOI_TRIAL_MS = 1000,
    TUOI_TRIAL_READS = 100,         /* packets of others, such as router solicitations, included */
    TUOI_CLONE_NEWNET = 0x40000000  /* linux/sched.h */
};

/* The n-th datagram: a TCP segment in VXLAN, from behind the one device to behind the other. */
static void tuoi_trial_datagram(uint8_t *bytes, unsigned n, int with_csum) {
    static const uint8_t hdr[TUOI_TRIAL_HDR_LEN] = {
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, TUOI_PROTO_UDP, 0, 0, 192, 0, 2, 2, 198, 51, 100, 2,
        0xC0, 0, TUOI_TRIAL_PORT >> 8, TUOI_TRIAL_PORT & 0xFF, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0,
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, TUOI_PROTO_TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        0x30, 0, 0x30, 1, 0, 0, 0, 0, 0, 0, 0, 1, TUOI_TCP_LEN / 4 << 4, 0x10, 1, 0, 0, 0, 0, 0
    };
    const tuoi_shape inner = { TUOI_TRIAL_IP_OFF, TUOI_TRIAL_L4_OFF, TUOI_TRIAL_HDR_LEN, TUO_KIND_TCP4 };
    const tuoi_shape outer = { 0, TUOI_IP4_LEN, TUOI_TRIAL_OUTER_LEN, TUO_KIND_UDP4 };
    const uint16_t udp_payload = TUOI_TRIAL_LEN - TUOI_TRIAL_OUTER_LEN;
    uint8_t *const ip = bytes + TUOI_TRIAL_IP_OFF, *const tcp = bytes + TUOI_TRIAL_L4_OFF;
    uint8_t *const udp = bytes + TUOI_IP4_LEN;
    tuo_vnet_hdr vnet;
    TUO_MEMCPY(bytes, hdr, sizeof hdr);
    TUO_MEMSET(bytes + TUOI_TRIAL_HDR_LEN, (int)n + 1, TUOI_TRIAL_PAYLOAD);
    bytes[TUOI_IP4_ID + 1] = ip[TUOI_IP4_ID + 1] = (uint8_t)n;
    tuoi_wr16(tcp + TUOI_TCP_SEQ + 2, (uint16_t)(n * TUOI_TRIAL_PAYLOAD));
    tuoi_account(bytes, &inner, TUOI_TRIAL_PAYLOAD, TUOI_TRIAL_PAYLOAD, &vnet);
    tuoi_wr16(tcp + TUOI_TCP_CSUM, tuoi_finish(tuoi_sum(tcp, TUOI_TRIAL_LEN - TUOI_TRIAL_L4_OFF), 0));
    tuoi_account(bytes, &outer, udp_payload, udp_payload, &vnet);
    tuoi_wr16(udp + TUOI_UDP_CSUM, with_csum ? tuoi_finish(tuoi_sum(udp, udp_payload + (uint32_t)TUOI_UDP_LEN), 1) : 0);
}

/* The next VXLAN datagram, one hop older than this one? */
static int tuoi_trial_arrives(tuo_tun *from, const uint8_t *sent) {
    uint8_t expected[TUOI_TRIAL_LEN], bytes[TUOI_TRIAL_LEN];
    tuo_vnet_hdr vnet;
    size_t len = 0;
    int reads;
    TUO_MEMCPY(expected, sent, sizeof expected);
    expected[TUOI_IP4_TTL]--;
    tuoi_wr16(expected + TUOI_IP4_CSUM, 0);
    tuoi_wr16(expected + TUOI_IP4_CSUM, tuoi_finish(tuoi_sum(expected, TUOI_IP4_LEN), 0));
    for (reads = 0; reads < TUOI_TRIAL_READS; reads++) {
        if (tuo_tun_wait(from, 0, TUOI_TRIAL_MS) != TUO_OK) return 0;
        if (tuo_tun_recv(from, bytes, sizeof bytes, &vnet, &len) != TUO_OK || len != sizeof bytes) continue;
        if (bytes[TUOI_IP4_PROTO] == TUOI_PROTO_UDP) return TUO_MEMCMP(bytes, expected, sizeof bytes) == 0;
    }
    return 0;
}

/* Both trains, one superpacket each. For a kernel without tunnel types none is made of the first. */
static tuo_result tuoi_trial_run(tuo_tun *to, tuo_tun *from) {
    uint8_t sent[TUOI_TRIAL_COUNT][TUOI_TRIAL_LEN];
    unsigned n, with_csum;
    for (with_csum = 0; with_csum < 2; with_csum++) {
        tuo_result result = TUO_OK;
        for (n = 0; n < TUOI_TRIAL_COUNT && result == TUO_OK; n++) {
            tuoi_trial_datagram(sent[n], n, with_csum != 0);
            result = tuo_tun_push(to, sent[n], TUOI_TRIAL_LEN);
        }
        if (result == TUO_OK) result = tuo_tun_flush(to);
        if (result != TUO_OK || to->tx.stats.tx_superpackets != with_csum + 1) return TUO_E_UNSUPPORTED;
        for (n = 0; n < TUOI_TRIAL_COUNT; n++)
            if (!tuoi_trial_arrives(from, sent[n])) return TUO_E_UNSUPPORTED;
    }
    return TUO_OK;
}

static int tuoi_trial_forwarding(void) {
    const int fd = tuoi_sys(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | TUOI_O_CLOEXEC));
    int returned = fd;
    if (fd >= 0) {
        returned = tuoi_sys(write(fd, "1", 1));
        (void)close(fd);
    }
    return returned;
}

/* Two devices, in the namespace of now. *error: set by every path that fails. */
static tuo_result tuoi_trial(int *error) {
    tuo_tun_desc desc;
    tuo_tun *to = NULL, *from = NULL;
    tuo_result result;
    int returned;
    if ((returned = tuoi_trial_forwarding()) < 0) {
        *error = -returned;
        return TUO_E_SYSTEM;
    }
    TUO_MEMSET(&desc, 0, sizeof desc);
    desc.up = 1;
    desc.no_vnet_hdr = 1;
    desc.address4 = "198.51.100.1/24";
    result = tuo_tun_open(&from, &desc, error);
    if (result == TUO_OK) {
        desc.no_vnet_hdr = 0;
        desc.address4 = "192.0.2.1/24";
        desc.udp_tunnels = desc.tun_writes_tunnels = desc.gro.vxlan_port_count = 1;
        desc.gro.vxlan_ports[0] = TUOI_TRIAL_PORT;
        result = tuo_tun_open(&to, &desc, error);
    }
    if (result == TUO_OK) result = tuoi_trial_run(to, from);
    tuo_tun_close(to);
    tuo_tun_close(from);
    return result;
}

#if !defined(__cplusplus) && !defined(_GNU_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(_BSD_SOURCE)
long syscall(long number, ...); /* which <unistd.h> does not declare in strict C99 */
#endif

TUO_API tuo_result tuo_tun_probe_tunnels(int *error) {
    int home = tuoi_sys(open("/proc/thread-self/ns/net", O_RDONLY | TUOI_O_CLOEXEC));
    int returned = home < 0 ? home : tuoi_sys(syscall(SYS_unshare, (long)TUOI_CLONE_NEWNET)), failed = 0;
    tuo_result result = TUO_E_SYSTEM;
    if (returned >= 0) {
        result = tuoi_trial(&failed);
        returned = tuoi_sys(syscall(SYS_setns, (long)home, (long)TUOI_CLONE_NEWNET));
    }
    tuoi_close_fd(&home);
    if (returned < 0) failed = -returned;
    if (error) *error = failed;
    return returned < 0 ? TUO_E_SYSTEM : result;
}

/* --- several queues --- */

enum { TUOI_QUEUES_MAX = 64 };

struct tuo_tun_group {
    size_t count;
    tuo_tun *queues[TUOI_QUEUES_MAX];
};

static tuo_result tuoi_tun_group_allocate(tuo_tun_group **group, size_t queue_count, const tuo_tun_desc *desc,
                                          int *error) {
    if (queue_count == 0 || queue_count > TUOI_QUEUES_MAX) {
        tuoi_tun_desc_failed(desc, error, "the number of queues: not 1 to 64");
        return TUO_E_INVALID;
    }
    *group = (tuo_tun_group *)TUO_CALLOC(1, sizeof **group);
    if (*group) return TUO_OK;
    tuoi_tun_no_memory(desc, error);
    return TUO_E_SYSTEM;
}

TUO_API tuo_result tuo_tun_group_open(tuo_tun_group **group, const tuo_tun_desc *desc, size_t queue_count, int *error) {
    tuo_tun_desc d = *desc;
    tuo_tun_group *g;
    tuo_result result = tuoi_tun_group_allocate(&g, queue_count, desc, error);
    if (result != TUO_OK) return result;
    if (queue_count > 1) d.multi_queue = 1;
    result = tuo_tun_open(&g->queues[0], &d, error);
    if (result == TUO_OK) g->count = 1;
    while (result == TUO_OK && g->count < queue_count) {
        result = tuoi_tun_add(g->queues[0], 1, desc->failure, &g->queues[g->count], error);
        if (result == TUO_OK) g->count++;
    }
    if (result != TUO_OK) {
        tuo_tun_group_close(g);
        return result;
    }
    *group = g;
    return TUO_OK;
}

/* What is negotiated belongs to the device (K 2.3): one queue of it does so. */
static int tuoi_tun_group_renegotiate(tuo_tun_group *g, size_t at, const tuo_tun_desc *desc) {
    tuo_tun *const tun = g->queues[at];
    const tuo_tun *const first = g->queues[0];
    if (at == 0 || TUO_MEMCMP(tun->name, first->name, sizeof tun->name) != 0) return tuoi_tun_renegotiate(tun, desc);
    tun->vnet_hdr_len = first->vnet_hdr_len;
    tun->offloads = tuoi_tun_offloads(first);
    tun->knows_uso = first->knows_uso;
    return 0;
}

static int tuoi_tun_group_adjust(tuo_tun_group *g, const tuo_tun_desc *desc, size_t *at) {
    int returned;
    for (*at = 0; *at < g->count; ++*at) {
        if ((returned = tuoi_tun_interface(g->queues[*at], desc)) < 0) return returned;
    }
    for (*at = 0; *at < g->count; ++*at) {
        if ((returned = tuoi_tun_group_renegotiate(g, *at, desc)) < 0) return returned;
    }
    return 0;
}

/* All of them are looked at before anything is changed. */
static tuo_result tuoi_tun_group_adopt(tuo_tun_group *g, const int *fds, size_t fd_count, const tuo_tun_desc *desc,
                                       int *error) {
    tuo_result result = TUO_OK;
    int returned = 0;
    size_t at = 0;
    while (result == TUO_OK && g->count < fd_count) {
        tuo_tun *t = NULL;
        result = tuoi_tun_allocate(&t, desc, tuoi_tun_path(desc), error);
        if (result != TUO_OK) break;
        t->borrowed = 1; /* until nothing can fail any more */
        result = tuoi_tun_opened(t, tuoi_tun_adopt(t, fds[g->count], desc), desc, &g->queues[g->count], error);
        if (result == TUO_OK) g->count++;
    }
    if (result == TUO_OK) returned = tuoi_tun_group_adjust(g, desc, &at);
    if (returned >= 0) return result;
    if (error) *error = tuoi_why_errno(returned);
    tuoi_tun_say(g->queues[at], desc, returned);
    return tuoi_why_unsupported(returned) ? TUO_E_UNSUPPORTED : TUO_E_SYSTEM;
}

TUO_API tuo_result tuo_tun_group_adopt(tuo_tun_group **group, const int *fds, size_t fd_count, const tuo_tun_desc *desc,
                                       int *error) {
    tuo_tun_group *g;
    size_t i;
    tuo_result result = tuoi_tun_group_allocate(&g, fd_count, desc, error);
    if (result != TUO_OK) return result;
    tuoi_say_nothing(desc->failure);
    result = tuoi_tun_group_adopt(g, fds, fd_count, desc, error);
    if (result != TUO_OK) {
        tuo_tun_group_close(g);
        return result;
    }
    for (i = 0; i < g->count; i++) g->queues[i]->borrowed = desc->borrowed;
    *group = g;
    return TUO_OK;
}

TUO_API tuo_tun *tuo_tun_group_queue(tuo_tun_group *group, size_t index) {
    return index < group->count ? group->queues[index] : NULL;
}

TUO_API void tuo_tun_group_wake(tuo_tun_group *group) {
    size_t i;
    for (i = 0; i < group->count; i++) tuo_tun_wake(group->queues[i]);
}

TUO_API void tuo_tun_group_close(tuo_tun_group *group) {
    size_t i;
    if (!group) return;
    tuo_tun_group_wake(group);
    for (i = 0; i < group->count; i++) tuo_tun_close(group->queues[i]);
    TUO_FREE(group);
}

#endif /* TUNOFFLOAD_TUN */

#ifdef TUNOFFLOAD_UDP
/* ---------------------------------------------------------------------------------- >>linux-udp */
/* A sending and a receiving half that share nothing but the descriptor, so that one thread may be
   in each. Datagrams are committed behind one another into one arena; flush plans them (>>udp-plan)
   and sends messages. Every call is non-blocking for the kernel; waiting is done by poll().
   Contract: U 1 to U 3. */

#ifdef __GLIBC__
#include <asm/socket.h> /* strict C99 hides some of it in <sys/socket.h>; musl does not */
#endif

/* linux/udp.h, linux/in.h, linux/in6.h: hidden from strict C99, or quarrelling with <netinet/in.h>.
   */
enum {
    TUOI_SOL_UDP = 17, TUOI_UDP_SEGMENT = 103, TUOI_UDP_GRO = 104,
    TUOI_IP_TOS = 1, TUOI_IP_PKTINFO = 8, TUOI_IP_MTU_DISCOVER = 10, TUOI_IP_RECVERR = 11, TUOI_IP_RECVTOS = 13,
    TUOI_IP_MTU = 14,
    TUOI_IPV6_MTU_DISCOVER = 23, TUOI_IPV6_MTU = 24, TUOI_IPV6_RECVERR = 25, TUOI_IPV6_V6ONLY = 26,
    TUOI_IPV6_RECVPKTINFO = 49, TUOI_IPV6_PKTINFO = 50, TUOI_IPV6_RECVTCLASS = 66, TUOI_IPV6_TCLASS = 67,
#ifdef __sparc__
    TUOI_POLLRDHUP = 0x800,
#else
    TUOI_POLLRDHUP = 0x2000,
#endif
    TUOI_PMTUDISC_WANT = 1, TUOI_PMTUDISC_DO = 2, TUOI_PMTUDISC_PROBE = 3
};

/* struct in_pktinfo, struct in6_pktinfo, struct mmsghdr */
typedef struct tuoi_pktinfo4 {
    int index;
    struct in_addr local;      /* ipi_spec_dst */
    struct in_addr destination;
} tuoi_pktinfo4;
typedef struct tuoi_pktinfo6 {
    struct in6_addr local;
    int index;
} tuoi_pktinfo6;
struct tuoi_mmsg {
    struct msghdr header;
    unsigned sent;
};

/* The C library's function by another name, because only _GNU_SOURCE declares it. */
#ifndef TUOI_SENDMMSG
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    int tuoi_libc_sendmmsg(int fd, struct tuoi_mmsg *messages, unsigned count, int flags) __asm__("sendmmsg");
#define TUOI_SENDMMSG tuoi_libc_sendmmsg
#endif

enum {
    TUOI_UDP_MESSAGES = 64,        /* of one sendmmsg */
    TUOI_UDP_IOVS = 1024,          /* of these; more than one train has */
    TUOI_UDP_LOST = 64,            /* kept for tuo_udp_next_lost */
    TUOI_UDP_REFUSERS = 32,        /* peers whose refusal of trains is remembered */
    TUOI_UDP_READ_TRIES = 16,      /* messages without a datagram, and errors, in one call */
    TUOI_UDP_DRAIN = 256,          /* entries of the error queue read at once */
    TUOI_UDP_RETRIES = 64,         /* of one message, while the error queue fills */
    TUOI_UDP_BUFFER = 4 << 20,     /* of the kernel's, for tuo_udp_open */
    TUOI_UDP_BYTES_MAX = 1 << 30,  /* of the arena and of the receive buffer */
    TUOI_UDP_DATAGRAMS_MAX = 1 << 20,
    TUOI_UDP_CONTROL = CMSG_SPACE(sizeof(tuoi_pktinfo6)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t)),
    TUOI_UDP_CONTROL_IN = 256,
    TUOI_NO_TRAIN = 0x7FFFFFFF
};

/* Control data begins with a struct cmsghdr. */
typedef union tuoi_udp_control_out {
    size_t aligned;
    uint8_t bytes[TUOI_UDP_CONTROL];
} tuoi_udp_control_out;

/* A committed datagram, beside its slot. */
typedef struct tuoi_udp_item {
    void *user;
    uint32_t off;           /* in the arena */
    uint32_t done;          /* sent or lost */
} tuoi_udp_item;

/* The local address of a key: with it; without it, to see if it is the reason of a refusal; gone;
   not the reason. */
typedef enum tuoi_udp_local { TUOI_LOCAL_USED, TUOI_LOCAL_ASKED, TUOI_LOCAL_GONE, TUOI_LOCAL_INNOCENT } tuoi_udp_local;

/* One key of the planner: peer, local address, traffic class. When the traffic to a peer changes to
   another local address or class, the next key begins, also if that combination was there before:
   so the planner, which keeps the order of each key, keeps the order of each peer. */
typedef struct tuoi_udp_key {
    tuo_udp_peer peer;      /* only what is asked for, the rest 0 */
    uint32_t cell;          /* of the hash */
    tuoi_udp_local local;
    int local_error;        /* what was said of a message with the local address */
} tuoi_udp_key;

/* A message of the piece that is being sent. */
typedef struct tuoi_udp_message {
    uint32_t key, count;    /* count datagrams from slot first on */
    int32_t first;
    uint32_t train;
} tuoi_udp_message;

/* A peer that refused a train and took its datagrams. */
typedef struct tuoi_udp_refuser {
    tuo_udp_peer peer;
    uint32_t wait, left;    /* datagrams: without trains in all, still to come */
} tuoi_udp_refuser;

/* What stands behind the struct in its allocation. */
typedef struct tuoi_udp_memory {
    tuo_udp_slot *slots;
    tuoi_udp_item *items;
    tuo_udp_train *trains;
    tuoi_udp_key *keys;
    int32_t *open;          /* scratch, one per key */
    uint32_t *cells;        /* hash: key + 1 of the latest key of an address; 0: none */
    struct tuoi_mmsg *mmsgs;
    tuoi_udp_message *messages;
    tuoi_udp_control_out *controls;
    struct iovec *iovs;
    uint8_t *arena, *received;
} tuoi_udp_memory;

typedef struct tuoi_udp_tx {
    uint32_t slot_count, key_count, last_key, end; /* end: of what is committed in the arena */
    uint32_t reserved;      /* bytes behind it */
    int is_reserved, held;
    int broken_off;         /* an earlier flush, of reserve or push, found no socket */
    uint32_t train_count;
    uint32_t at_train;      /* the next message to build: this train, */
    int32_t at_slot;        /* from this slot on; -1: from its first */
    uint32_t message_count, at_message; /* of the piece: built, settled */
    uint32_t refused_train; /* its datagrams are sent singly now */
    int refused_lost;       /* one of them was lost, so it is not known to be the train */
    uint32_t retried;       /* times that the message in front was tried again after a pending error */
    int stale;              /* what is left of the piece was built by what no longer holds */
    uint32_t mtu_key, mtu;  /* key + 1 of the last question for a path MTU in this flush; 0: none */
    uint32_t lost_written, lost_read; /* modulo 2^32 */
    uint32_t refuser_count, refuser_next;
    int last_errno;         /* atomic */
    tuo_udp_tx_stats stats;
    tuo_udp_lost lost[TUOI_UDP_LOST];
    tuoi_udp_refuser refusers[TUOI_UDP_REFUSERS];
} tuoi_udp_tx;

typedef struct tuoi_udp_rx {
    uint32_t left;          /* datagrams of the message not yet handed out */
    size_t off, len, seg_len;
    tuo_udp_peer peer;
    tuoi_round round;
    uint32_t drops;         /* SO_RXQ_OVFL, as last told */
    int last_errno;         /* atomic */
    tuo_udp_rx_stats stats;
    union {
        size_t aligned;
        uint8_t bytes[TUOI_UDP_CONTROL_IN];
    } control;
} tuoi_udp_rx;

struct tuo_udp {
    tuoi_waiter waiter;     /* fd: the socket */
    tuo_udp_desc desc;
    int family;
    int has_recverr;        /* adopted so: ICMP errors of all peers are reported, and queue up */
    uint32_t cell_mask;
    uint64_t hash_key;
    tuo_udp_info info;      /* its errnos are the halves' */
    tuoi_udp_memory memory;
    tuoi_udp_tx tx;
    tuoi_udp_rx rx;
};

/* --- addresses --- */

static int tuoi_ip6_is_zero(const struct in6_addr *address) {
    static const uint8_t zero[16] = { 0 };
    return TUO_MEMCMP(address, zero, sizeof zero) == 0;
}

static int tuoi_ip6_is_mapped(const struct in6_addr *address) {
    static const uint8_t prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF };
    return TUO_MEMCMP(address, prefix, sizeof prefix) == 0;
}

static int tuoi_ip6_is_link_local(const struct in6_addr *address) {
    const uint8_t *const bytes = (const uint8_t *)address;
    return bytes[0] == 0xFE && (bytes[1] & 0xC0) == 0x80;
}

static void tuoi_ip6_map(struct in6_addr *to, const struct in_addr *from) {
    uint8_t *const bytes = (uint8_t *)to;
    TUO_MEMSET(bytes, 0, 10);
    bytes[10] = bytes[11] = 0xFF;
    TUO_MEMCPY(bytes + 12, from, 4);
}

static void tuoi_ip6_unmap(struct in_addr *to, const struct in6_addr *from) {
    TUO_MEMCPY(to, (const uint8_t *)from + 12, 4);
}

/* What of a peer is asked for, so that two of them can be compared as bytes. */
static void tuoi_udp_peer_copy(tuo_udp_peer *to, const tuo_udp_peer *from) {
    TUO_MEMSET(to, 0, sizeof *to);
    to->addr.any.sa_family = from->addr.any.sa_family;
    if (from->addr.any.sa_family == AF_INET) {
        to->addr.ip4.sin_port = from->addr.ip4.sin_port;
        to->addr.ip4.sin_addr = from->addr.ip4.sin_addr;
        to->local.ip4 = from->local.ip4;
    } else if (from->addr.any.sa_family == AF_INET6) {
        to->addr.ip6.sin6_port = from->addr.ip6.sin6_port;
        to->addr.ip6.sin6_flowinfo = from->addr.ip6.sin6_flowinfo;
        to->addr.ip6.sin6_addr = from->addr.ip6.sin6_addr;
        to->addr.ip6.sin6_scope_id = from->addr.ip6.sin6_scope_id;
        to->local.ip6 = from->local.ip6;
        to->local_scope = from->local_scope;
    }
    to->tos = from->tos;
}

/* Where datagrams to a peer arrive, in one spelling: IPv4 as v4-mapped, without flow label. Without
   padding. */
typedef struct tuoi_udp_where {
    uint8_t ip[16];
    uint32_t scope;
    uint16_t port, family; /* 0: the peer that the socket is connected to */
} tuoi_udp_where;

static tuoi_udp_where tuoi_udp_where_of(const tuo_udp_peer *peer) {
    tuoi_udp_where where;
    TUO_MEMSET(&where, 0, sizeof where);
    if (peer->addr.any.sa_family == AF_INET) {
        struct in6_addr mapped;
        tuoi_ip6_map(&mapped, &peer->addr.ip4.sin_addr);
        TUO_MEMCPY(where.ip, &mapped, sizeof where.ip);
        where.port = peer->addr.ip4.sin_port;
        where.family = AF_INET6;
    } else if (peer->addr.any.sa_family == AF_INET6) {
        TUO_MEMCPY(where.ip, &peer->addr.ip6.sin6_addr, sizeof where.ip);
        where.scope = peer->addr.ip6.sin6_scope_id;
        where.port = peer->addr.ip6.sin6_port;
        where.family = AF_INET6;
    }
    return where;
}

TUO_API int tuo_udp_same_addr(const tuo_udp_peer *a, const tuo_udp_peer *b) {
    const tuoi_udp_where x = tuoi_udp_where_of(a), y = tuoi_udp_where_of(b);
    return TUO_MEMCMP(&x, &y, sizeof x) == 0;
}

static int tuoi_udp_same_peer(const tuo_udp_peer *a, const tuo_udp_peer *b) {
    return TUO_MEMCMP((const uint8_t *)&a->addr, (const uint8_t *)&b->addr, sizeof a->addr) == 0 &&
           TUO_MEMCMP((const uint8_t *)&a->local, (const uint8_t *)&b->local, sizeof a->local) == 0 &&
           a->local_scope == b->local_scope && a->tos == b->tos;
}

static socklen_t tuoi_udp_addr_len(const tuo_udp_peer *peer) {
    switch (peer->addr.any.sa_family) {
        case AF_UNSPEC: return 0; /* a connected socket's own */
        case AF_INET6: return sizeof peer->addr.ip6;
        default: return sizeof peer->addr.ip4;
    }
}

/* Does the kernel treat this peer by the rules of IPv4? */
static int tuoi_udp_is_ip4(const tuo_udp_peer *peer) {
    return peer->addr.any.sa_family == AF_INET ||
           (peer->addr.any.sa_family == AF_INET6 && tuoi_ip6_is_mapped(&peer->addr.ip6.sin6_addr));
}

/* --- options --- */

static int tuoi_udp_set(const tuo_udp *udp, int level, int name, int value) {
    return tuoi_sys(setsockopt(udp->waiter.fd, level, name, &value, sizeof value));
}

/* The value, or -errno. */
static int tuoi_udp_get(int fd, int level, int name) {
    int value = 0;
    socklen_t len = sizeof value;
    const int returned = tuoi_sys(getsockopt(fd, level, name, &value, &len));
    return returned < 0 ? returned : value;
}

/* An option that IPv4 and IPv6 both have: on a dual-stack socket both levels count (U 1.22).
   Returns that of the socket's own level. */
static int tuoi_udp_set_both(const tuo_udp *udp, int name4, int name6, int value) {
    const int returned = tuoi_udp_set(udp, IPPROTO_IP, name4, value);
    return udp->family == AF_INET6 ? tuoi_udp_set(udp, IPPROTO_IPV6, name6, value) : returned;
}

static int tuoi_udp_set_df(const tuo_udp *udp, tuo_udp_df df) {
    const int value = df == TUO_UDP_DF_PROBE    ? TUOI_PMTUDISC_PROBE
                      : df == TUO_UDP_DF_KERNEL ? TUOI_PMTUDISC_WANT
                                                : TUOI_PMTUDISC_DO;
    return tuoi_udp_set_both(udp, TUOI_IP_MTU_DISCOVER, TUOI_IPV6_MTU_DISCOVER, value);
}

/* Beyond the system's limit with the right to it, otherwise up to it (U 2.13). */
static void tuoi_udp_set_buffer(const tuo_udp *udp, int force, int plain, uint32_t bytes) {
    const int value = (int)tuoi_min32(bytes, 0x3FFFFFFF);
    if (bytes && tuoi_udp_set(udp, SOL_SOCKET, force, value) < 0) (void)tuoi_udp_set(udp, SOL_SOCKET, plain, value);
}

static uint32_t tuoi_udp_buffer(const tuo_udp *udp, int name) {
    const int bytes = tuoi_udp_get(udp->waiter.fd, SOL_SOCKET, name);
    return bytes > 0 ? (uint32_t)bytes : 0;
}

/* What the receive buffer had no room for so far; 0 from a kernel before 4.12. */
#ifdef SO_MEMINFO
static uint32_t tuoi_udp_drops(int fd) {
    uint32_t counters[9] = { 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    socklen_t len = sizeof counters;
    (void)getsockopt(fd, SOL_SOCKET, SO_MEMINFO, counters, &len);
    return counters[8]; /* SK_MEMINFO_DROPS */
}
#else
static uint32_t tuoi_udp_drops(int fd) { return (uint32_t)fd & 0u; }
#endif

/* What both open and adopt set. What a kernel does not know stays off: the datagrams come without
   it. */
static void tuoi_udp_features(tuo_udp *udp) {
    const int fd = udp->waiter.fd;
    const int segment = tuoi_udp_get(fd, TUOI_SOL_UDP, TUOI_UDP_SEGMENT);
    udp->info.gso = segment >= 0 && !udp->desc.no_gso;
    if (segment > 0) (void)tuoi_udp_set(udp, TUOI_SOL_UDP, TUOI_UDP_SEGMENT, 0); /* would cut singles, too (U 1.9) */
    if (!udp->info.gso) udp->desc.limits.max_segs = 1;
    if (!udp->desc.no_gro) udp->info.gro = tuoi_udp_set(udp, TUOI_SOL_UDP, TUOI_UDP_GRO, 1) >= 0;
    (void)tuoi_udp_set(udp, IPPROTO_IP, TUOI_IP_PKTINFO, 1);
    (void)tuoi_udp_set(udp, IPPROTO_IP, TUOI_IP_RECVTOS, 1);
    if (udp->family == AF_INET6) {
        (void)tuoi_udp_set(udp, IPPROTO_IPV6, TUOI_IPV6_RECVPKTINFO, 1);
        (void)tuoi_udp_set(udp, IPPROTO_IPV6, TUOI_IPV6_RECVTCLASS, 1);
    }
    (void)tuoi_udp_set(udp, SOL_SOCKET, SO_RXQ_OVFL, 1);
    udp->rx.drops = tuoi_udp_drops(fd);
}

/* --- opening --- */

static void *tuoi_udp_take(uint8_t *base, size_t *off, size_t count, size_t size) {
    void *const at = base ? base + *off : NULL;
    *off += tuoi_align_up(count * size);
    return at;
}

/* Lays the tables out from base on; NULL: only their size. */
static size_t tuoi_udp_lay_out(tuoi_udp_memory *memory, const tuo_udp_desc *desc, size_t cells, uint8_t *base) {
    size_t off = 0;
    memory->slots = (tuo_udp_slot *)tuoi_udp_take(base, &off, desc->max_datagrams, sizeof *memory->slots);
    memory->items = (tuoi_udp_item *)tuoi_udp_take(base, &off, desc->max_datagrams, sizeof *memory->items);
    memory->trains = (tuo_udp_train *)tuoi_udp_take(base, &off, desc->max_datagrams, sizeof *memory->trains);
    memory->keys = (tuoi_udp_key *)tuoi_udp_take(base, &off, desc->max_peers, sizeof *memory->keys);
    memory->open = (int32_t *)tuoi_udp_take(base, &off, desc->max_peers, sizeof *memory->open);
    memory->cells = (uint32_t *)tuoi_udp_take(base, &off, cells, sizeof *memory->cells);
    memory->mmsgs = (struct tuoi_mmsg *)tuoi_udp_take(base, &off, TUOI_UDP_MESSAGES, sizeof *memory->mmsgs);
    memory->messages = (tuoi_udp_message *)tuoi_udp_take(base, &off, TUOI_UDP_MESSAGES, sizeof *memory->messages);
    memory->controls = (tuoi_udp_control_out *)tuoi_udp_take(base, &off, TUOI_UDP_MESSAGES, sizeof *memory->controls);
    memory->iovs = (struct iovec *)tuoi_udp_take(base, &off, TUOI_UDP_IOVS, sizeof *memory->iovs);
    memory->arena = (uint8_t *)tuoi_udp_take(base, &off, desc->send_bytes, 1);
    memory->received = (uint8_t *)tuoi_udp_take(base, &off, desc->recv_bytes, 1);
    return off;
}

static void tuoi_default_size(size_t *value, size_t fallback) {
    if (*value == 0) *value = fallback;
}

/* Defaults filled in; 0: a value is out of its range. */
static int tuoi_udp_complete(tuo_udp_desc *desc) {
    tuoi_default32(&desc->max_datagrams, 1024);
    tuoi_default32(&desc->max_peers, desc->max_datagrams);
    tuoi_default32(&desc->round_packets, TUOI_ROUND_PACKETS);
    tuoi_default32(&desc->retry_after, 4096);
    tuoi_default_size(&desc->send_bytes, 256 * 1024);
    tuoi_default_size(&desc->recv_bytes, 0xFFFF);
    desc->max_peers = tuoi_min32(desc->max_peers, desc->max_datagrams);
    return desc->max_datagrams <= TUOI_UDP_DATAGRAMS_MAX && desc->send_bytes >= TUOI_UDP_PAYLOAD_MAX &&
           desc->send_bytes <= TUOI_UDP_BYTES_MAX && desc->recv_bytes >= 0xFFFF &&
           desc->recv_bytes <= TUOI_UDP_BYTES_MAX && (unsigned)desc->df <= (unsigned)TUO_UDP_DF_KERNEL;
}

static tuo_result tuoi_udp_allocate(tuo_udp **out, const tuo_udp_desc *desc, int *error) {
    tuo_udp_desc d;
    tuoi_udp_memory memory;
    tuo_udp *udp;
    size_t cells = 4;
    if (error) *error = 0;
    TUO_MEMSET(&d, 0, sizeof d);
    if (desc) d = *desc;
    if (!tuoi_udp_complete(&d)) return TUO_E_INVALID;
    while (cells < 2 * (size_t)d.max_peers) cells *= 2;
    udp = (tuo_udp *)TUO_CALLOC(1, tuoi_align_up(sizeof *udp) + tuoi_udp_lay_out(&memory, &d, cells, NULL));
    if (!udp) {
        if (error) *error = ENOMEM;
        return TUO_E_SYSTEM;
    }
    udp->desc = d;
    udp->waiter.fd = udp->waiter.wake_fd = -1;
    udp->cell_mask = (uint32_t)cells - 1;
    udp->hash_key = tuoi_random(udp);
    udp->rx.round.packets_max = d.round_packets;
    (void)tuoi_udp_lay_out(&udp->memory, &d, cells, (uint8_t *)udp + tuoi_align_up(sizeof *udp));
    *out = udp;
    return TUO_OK;
}

static void tuoi_udp_free(tuo_udp *udp) {
    tuoi_close_fd(&udp->waiter.fd);
    tuoi_close_fd(&udp->waiter.wake_fd);
    TUO_FREE(udp);
}

static tuo_result tuoi_udp_opened(tuo_udp *udp, int returned, tuo_udp **out, int *error) {
    if (returned >= 0) {
        *out = udp;
        return TUO_OK;
    }
    if (error) *error = -returned;
    tuoi_udp_free(udp);
    return returned == -EOPNOTSUPP ? TUO_E_UNSUPPORTED : TUO_E_SYSTEM;
}

/* In this order: UDP_GRO before the first datagram can come (U 2.10). */
static int tuoi_udp_setup(tuo_udp *udp, tuo_udp_df df) {
    int returned;
    if ((returned = udp->waiter.wake_fd = tuoi_sys(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) < 0) return returned;
    if (df != TUO_UDP_DF_DEFAULT && (returned = tuoi_udp_set_df(udp, df)) < 0) return returned;
    if (udp->desc.tos &&
        (returned = tuoi_udp_set_both(udp, TUOI_IP_TOS, TUOI_IPV6_TCLASS, udp->desc.tos)) < 0) return returned;
    tuoi_udp_set_buffer(udp, SO_SNDBUFFORCE, SO_SNDBUF, udp->desc.send_buffer);
    tuoi_udp_set_buffer(udp, SO_RCVBUFFORCE, SO_RCVBUF, udp->desc.recv_buffer);
    udp->info.send_buffer = tuoi_udp_buffer(udp, SO_SNDBUF);
    udp->info.recv_buffer = tuoi_udp_buffer(udp, SO_RCVBUF);
    tuoi_udp_features(udp);
    return 0;
}

static int tuoi_udp_open(tuo_udp *udp, const struct sockaddr *local) {
    const socklen_t len = local->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    const tuo_udp_df df = udp->desc.df == TUO_UDP_DF_DEFAULT ? TUO_UDP_DF_SET : udp->desc.df;
    int returned;
    udp->family = local->sa_family;
    tuoi_default32(&udp->desc.send_buffer, TUOI_UDP_BUFFER);
    tuoi_default32(&udp->desc.recv_buffer, TUOI_UDP_BUFFER);
    udp->waiter.fd = tuoi_sys(socket(udp->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (udp->waiter.fd < 0) return udp->waiter.fd;
    if ((returned = tuoi_udp_setup(udp, df)) < 0) return returned;
    if (udp->family == AF_INET6 &&
        (returned = tuoi_udp_set(udp, IPPROTO_IPV6, TUOI_IPV6_V6ONLY, udp->desc.ip6_only != 0)) < 0) return returned;
    if (udp->desc.reuseport && (returned = tuoi_udp_set(udp, SOL_SOCKET, SO_REUSEPORT, 1)) < 0) return returned;
    return tuoi_sys(bind(udp->waiter.fd, local, len));
}

TUO_API tuo_result tuo_udp_open(tuo_udp **udp, const struct sockaddr *local, const tuo_udp_desc *desc, int *error) {
    tuo_udp *u;
    tuo_result result;
    if (error) *error = 0;
    if (!local || (local->sa_family != AF_INET && local->sa_family != AF_INET6)) return TUO_E_INVALID;
    result = tuoi_udp_allocate(&u, desc, error);
    if (result != TUO_OK) return result;
    u->desc.borrowed = 0;
    return tuoi_udp_opened(u, tuoi_udp_open(u, local), udp, error);
}

static int tuoi_udp_adopt(tuo_udp *udp, int fd) {
    int returned = tuoi_udp_get(fd, SOL_SOCKET, SO_PROTOCOL);
    if (returned == -ENOTSOCK || (returned >= 0 && returned != IPPROTO_UDP)) return -EOPNOTSUPP;
    if (returned < 0) return returned;
    if (tuoi_udp_get(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM) return -EOPNOTSUPP; /* a raw one */
    if ((returned = tuoi_udp_get(fd, SOL_SOCKET, SO_DOMAIN)) < 0) return returned;
    if (returned != AF_INET && returned != AF_INET6) return -EOPNOTSUPP;
    udp->waiter.fd = fd;
    udp->family = returned;
    udp->has_recverr = tuoi_udp_get(fd, IPPROTO_IP, TUOI_IP_RECVERR) > 0 ||
                       (udp->family == AF_INET6 && tuoi_udp_get(fd, IPPROTO_IPV6, TUOI_IPV6_RECVERR) > 0);
    return tuoi_udp_setup(udp, udp->desc.df);
}

TUO_API tuo_result tuo_udp_adopt(tuo_udp **udp, int fd, const tuo_udp_desc *desc, int *error) {
    tuo_udp *u;
    int returned;
    const tuo_result result = tuoi_udp_allocate(&u, desc, error);
    if (result != TUO_OK) return result;
    returned = tuoi_udp_adopt(u, fd);
    if (returned < 0) u->waiter.fd = -1; /* still the caller's */
    return tuoi_udp_opened(u, returned, udp, error);
}

/* --- waiting, facts --- */

TUO_API void tuo_udp_wake(tuo_udp *udp) { tuoi_wake(&udp->waiter); }
TUO_API void tuo_udp_wake_clear(tuo_udp *udp) { tuoi_wake_clear(&udp->waiter); }
TUO_API int tuo_udp_fd(const tuo_udp *udp) { return udp->waiter.fd; }

TUO_API void tuo_udp_close(tuo_udp *udp) {
    if (!udp) return;
    tuoi_close_waiter(&udp->waiter);
    if (udp->desc.borrowed) udp->waiter.fd = -1;
    tuoi_udp_free(udp);
}

TUO_API tuo_result tuo_udp_wait(tuo_udp *udp, int for_writing, int timeout_ms) {
    const int pending = !for_writing && udp->rx.left != 0;
    int returned;
    if (!tuoi_enter(&udp->waiter)) return tuoi_leave(&udp->waiter, TUO_E_WOKEN);
    returned = tuoi_wait(&udp->waiter, for_writing, pending ? 0 : timeout_ms);
    if (returned == -ECANCELED) return tuoi_leave(&udp->waiter, TUO_E_WOKEN);
    if (returned == 0 || pending) return tuoi_leave(&udp->waiter, TUO_OK);
    return tuoi_leave(&udp->waiter, returned == -EAGAIN || returned == -EINTR ? TUO_AGAIN : TUO_E_SYSTEM);
}

TUO_API void tuo_udp_query_info(const tuo_udp *udp, tuo_udp_info *info) {
    *info = udp->info;
    info->rx_errno = __atomic_load_n(&udp->rx.last_errno, __ATOMIC_RELAXED);
    info->tx_errno = __atomic_load_n(&udp->tx.last_errno, __ATOMIC_RELAXED);
}

TUO_API void tuo_udp_query_rx_stats(const tuo_udp *udp, tuo_udp_rx_stats *stats) { *stats = udp->rx.stats; }
TUO_API void tuo_udp_query_tx_stats(const tuo_udp *udp, tuo_udp_tx_stats *stats) { *stats = udp->tx.stats; }

/* Reads and forgets the error queue, which takes room from the receive buffer and keeps poll() from
   sleeping (U 3.3, U 3.6). Returns how many entries there were, up to a bound. */
static int tuoi_udp_drain(const tuo_udp *udp) {
    int count = 0;
    while (count < TUOI_UDP_DRAIN) {
        struct msghdr message;
        TUO_MEMSET(&message, 0, sizeof message);
        if (recvmsg(udp->waiter.fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
        count++;
    }
    return count;
}

/* Blocking: until there is something to read, or room. TUO_OK: try again. What keeps poll() from sleeping
   for ever is looked at: entries of an error queue, which are read; a socket that was shut down. */
static tuo_result tuoi_udp_wait_for(tuo_udp *udp, int for_writing) {
    int *const last_errno = for_writing ? &udp->tx.last_errno : &udp->rx.last_errno;
    struct pollfd fd;
    const int returned = tuoi_wait(&udp->waiter, for_writing, -1);
    if (returned == -EINTR) return TUO_OK;
    if (returned < 0) return returned == -ECANCELED ? TUO_E_WOKEN : TUO_AGAIN;
    fd.fd = udp->waiter.fd;
    fd.events = TUOI_POLLRDHUP;
    if (poll(&fd, 1, 0) <= 0) return TUO_OK;
    if (fd.revents & POLLERR) (void)tuoi_udp_drain(udp);
    if (!(fd.revents & (for_writing ? POLLHUP : POLLHUP | TUOI_POLLRDHUP))) return TUO_OK;
    __atomic_store_n(last_errno, ESHUTDOWN, __ATOMIC_RELAXED);
    return TUO_E_SYSTEM;
}

/* --- path MTU --- */

/* Of a connected socket. */
static int tuoi_udp_get_mtu(int fd, int family) {
    if (family == AF_INET) return tuoi_udp_get(fd, IPPROTO_IP, TUOI_IP_MTU);
    return tuoi_udp_get(fd, IPPROTO_IPV6, TUOI_IPV6_MTU);
}

/* A socket of its own, connected to the peer by the same device and mark, knows it (U 3.7); one of
   no peer does not. Returns the MTU, or -errno. */
static int tuoi_udp_ask_mtu(const tuo_udp *udp, int helper, const tuo_udp_peer *peer) {
    const int mark = tuoi_udp_get(udp->waiter.fd, SOL_SOCKET, SO_MARK);
    char device[16];
    socklen_t len = sizeof device;
    int returned;
    if (!tuoi_same_netns(udp->waiter.fd, helper)) return -EOPNOTSUPP; /* a socket of another namespace was adopted */
    if (mark > 0) (void)setsockopt(helper, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    if (getsockopt(udp->waiter.fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len) == 0 && len > 0)
        (void)setsockopt(helper, SOL_SOCKET, SO_BINDTODEVICE, device, len);
    returned = tuoi_sys(connect(helper, &peer->addr.any, tuoi_udp_addr_len(peer)));
    return returned < 0 ? returned : tuoi_udp_get_mtu(helper, peer->addr.any.sa_family);
}

static int tuoi_udp_path_mtu(const tuo_udp *udp, const tuo_udp_peer *peer) {
    tuo_udp_peer plain = *peer;
    int helper, returned;
    if (peer->addr.any.sa_family == AF_UNSPEC) return tuoi_udp_get_mtu(udp->waiter.fd, udp->family);
    if (peer->addr.any.sa_family == AF_INET6 && tuoi_udp_is_ip4(peer)) {
        TUO_MEMSET(&plain.addr, 0, sizeof plain.addr);
        plain.addr.ip4.sin_family = AF_INET;
        plain.addr.ip4.sin_port = peer->addr.ip6.sin6_port;
        tuoi_ip6_unmap(&plain.addr.ip4.sin_addr, &peer->addr.ip6.sin6_addr);
    }
    helper = tuoi_sys(socket(plain.addr.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (helper < 0) return helper;
    returned = tuoi_udp_ask_mtu(udp, helper, &plain);
    tuoi_close_fd(&helper);
    return returned;
}

TUO_API tuo_result tuo_udp_mtu(tuo_udp *udp, const tuo_udp_peer *peer, uint32_t *mtu) {
    int returned;
    if (peer->addr.any.sa_family != AF_INET && peer->addr.any.sa_family != AF_INET6) return TUO_E_INVALID;
    if (!tuoi_enter(&udp->waiter)) return tuoi_leave(&udp->waiter, TUO_E_WOKEN);
    returned = tuoi_udp_path_mtu(udp, peer);
    if (returned >= 0) *mtu = (uint32_t)returned;
    else __atomic_store_n(&udp->tx.last_errno, -returned, __ATOMIC_RELAXED);
    if (returned == -EOPNOTSUPP) return tuoi_leave(&udp->waiter, TUO_E_UNSUPPORTED);
    return tuoi_leave(&udp->waiter, returned >= 0 ? TUO_OK : TUO_E_SYSTEM);
}

/* --- committing --- */

TUOI_WRAPS static uint32_t tuoi_udp_hash(const tuo_udp *udp, const tuo_udp_peer *peer) {
    const tuoi_udp_where where = tuoi_udp_where_of(peer);
    uint64_t words[sizeof where / 8], hash = udp->hash_key;
    size_t i;
    TUOI_STATIC_ASSERT(udp_where_is_words, sizeof where == 24);
    TUO_MEMCPY(words, &where, sizeof words);
    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        hash = (hash ^ words[i]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

/* The cell of this address, or the free one where it belongs. Half of them are free. */
static uint32_t tuoi_udp_cell(const tuo_udp *udp, const tuo_udp_peer *peer) {
    const tuoi_udp_memory *const memory = &udp->memory;
    uint32_t cell = tuoi_udp_hash(udp, peer) & udp->cell_mask;
    while (memory->cells[cell] && !tuo_udp_same_addr(&memory->keys[memory->cells[cell] - 1].peer, peer))
        cell = (cell + 1) & udp->cell_mask;
    return cell;
}

/* The key of the peer's next datagram; 0: there is room for no more keys. */
static int tuoi_udp_find_key(tuo_udp *udp, const tuo_udp_peer *peer, uint32_t *found) {
    tuoi_udp_tx *const tx = &udp->tx;
    const tuoi_udp_memory *const memory = &udp->memory;
    uint32_t cell;
    *found = tx->last_key;
    if (tx->key_count && tuoi_udp_same_peer(&memory->keys[tx->last_key].peer, peer)) return 1;
    cell = tuoi_udp_cell(udp, peer);
    if (memory->cells[cell]) {
        *found = tx->last_key = memory->cells[cell] - 1;
        if (tuoi_udp_same_peer(&memory->keys[*found].peer, peer)) return 1;
    }
    if (tx->key_count == udp->desc.max_peers) return 0;
    *found = tx->last_key = tx->key_count++;
    memory->keys[*found].peer = *peer;
    memory->keys[*found].cell = cell;
    memory->keys[*found].local = TUOI_LOCAL_USED;
    memory->cells[cell] = tx->key_count;
    return 1;
}

/* Keys that still have datagrams (open[] says so) move together; open[] becomes their new numbers.
   */
static void tuoi_udp_compact_keys(tuo_udp *udp) {
    tuoi_udp_tx *const tx = &udp->tx;
    const tuoi_udp_memory *const memory = &udp->memory;
    uint32_t i, kept = 0;
    for (i = 0; i < tx->key_count; i++) memory->cells[memory->keys[i].cell] = 0;
    for (i = 0; i < tx->key_count; i++) {
        if (!memory->open[i]) continue;
        if (i != kept) memory->keys[kept].peer = memory->keys[i].peer;
        memory->keys[kept].local = TUOI_LOCAL_USED; /* the next flush asks again */
        memory->keys[kept].cell = tuoi_udp_cell(udp, &memory->keys[kept].peer);
        memory->open[i] = (int32_t)kept++;
        memory->cells[memory->keys[kept - 1].cell] = kept;
    }
    tx->key_count = kept;
    tx->last_key = kept ? kept - 1 : 0; /* the latest of its address */
}

/* What is sent or lost goes; what is held moves to the front, in the order of commit. */
static void tuoi_udp_compact(tuo_udp *udp) {
    tuoi_udp_tx *const tx = &udp->tx;
    const tuoi_udp_memory *const memory = &udp->memory;
    uint32_t i, kept = 0, end = 0;
    for (i = 0; i < tx->key_count; i++) memory->open[i] = 0;
    for (i = 0; i < tx->slot_count; i++) {
        if (memory->items[i].done) continue;
        if (memory->items[i].off != end)
            TUO_MEMMOVE(memory->arena + end, memory->arena + memory->items[i].off, memory->slots[i].len);
        memory->items[kept].user = memory->items[i].user;
        memory->items[kept].off = end;
        memory->items[kept].done = 0;
        memory->slots[kept] = memory->slots[i];
        end += memory->slots[i].len;
        memory->open[memory->slots[i].key] = 1;
        kept++;
    }
    tuoi_udp_compact_keys(udp);
    for (i = 0; i < kept; i++) memory->slots[i].key = (uint32_t)memory->open[memory->slots[i].key];
    tx->slot_count = kept;
    tx->end = end;
}

/* --- messages --- */

static size_t tuoi_udp_add_control(uint8_t *control, size_t at, int level, int type, const void *value, size_t len) {
    struct cmsghdr header;
    TUO_MEMSET(&header, 0, sizeof header);
    header.cmsg_len = (socklen_t)CMSG_LEN(len);
    header.cmsg_level = level;
    header.cmsg_type = type;
    TUO_MEMSET(control + at, 0, CMSG_SPACE(len));
    TUO_MEMCPY(control + at, &header, sizeof header);
    TUO_MEMCPY(control + at + CMSG_LEN(0), value, len);
    return at + CMSG_SPACE(len);
}

static size_t tuoi_udp_add_local(uint8_t *control, size_t at, const tuo_udp_peer *peer) {
    if (tuoi_udp_is_ip4(peer)) {
        tuoi_pktinfo4 info;
        TUO_MEMSET(&info, 0, sizeof info);
        info.local = peer->local.ip4;
        if (peer->addr.any.sa_family == AF_INET6) tuoi_ip6_unmap(&info.local, &peer->local.ip6);
        return tuoi_udp_add_control(control, at, IPPROTO_IP, TUOI_IP_PKTINFO, &info, sizeof info);
    } else {
        tuoi_pktinfo6 info;
        TUO_MEMSET(&info, 0, sizeof info);
        info.local = peer->local.ip6;
        info.index = (int)peer->local_scope;
        return tuoi_udp_add_control(control, at, IPPROTO_IPV6, TUOI_IPV6_PKTINFO, &info, sizeof info);
    }
}

static int tuoi_udp_has_local(const tuo_udp_peer *peer) {
    return peer->addr.any.sa_family != AF_UNSPEC && !tuoi_ip6_is_zero(&peer->local.ip6);
}

static int tuoi_udp_names_local(const tuoi_udp_key *key) {
    return (key->local == TUOI_LOCAL_USED || key->local == TUOI_LOCAL_INNOCENT) && tuoi_udp_has_local(&key->peer);
}

/* Only what is needed: a single is a plain message (U 1.6). Returns the length. */
static size_t tuoi_udp_controls(const tuo_udp *udp, uint8_t *control, const tuoi_udp_key *key, uint32_t count,
                                uint32_t seg_len) {
    const int connected = key->peer.addr.any.sa_family == AF_UNSPEC; /* to either, on an IPv6 socket */
    const int is_ip4 = connected || tuoi_udp_is_ip4(&key->peer), is_ip6 = connected ? udp->family == AF_INET6 : !is_ip4;
    size_t at = 0;
    if (tuoi_udp_names_local(key)) at = tuoi_udp_add_local(control, at, &key->peer);
    if (key->peer.tos) {
        const int tos = key->peer.tos;
        if (is_ip4) at = tuoi_udp_add_control(control, at, IPPROTO_IP, TUOI_IP_TOS, &tos, sizeof tos);
        if (is_ip6) at = tuoi_udp_add_control(control, at, IPPROTO_IPV6, TUOI_IPV6_TCLASS, &tos, sizeof tos);
    }
    if (count > 1) {
        const uint16_t segment = (uint16_t)seg_len;
        at = tuoi_udp_add_control(control, at, TUOI_SOL_UDP, TUOI_UDP_SEGMENT, &segment, sizeof segment);
    }
    return at;
}

/* The bytes of a message; neighbours in the arena are one piece. Returns the number of pieces. */
static uint32_t tuoi_udp_gather(const tuo_udp *udp, const tuoi_udp_message *message, struct iovec *iov) {
    const tuoi_udp_memory *const memory = &udp->memory;
    int32_t slot = message->first;
    uint32_t i, pieces = 0, end = 0;
    for (i = 0; i < message->count; i++, slot = memory->slots[slot].next) {
        const uint32_t off = memory->items[slot].off, len = memory->slots[slot].len;
        if (pieces && off == end) {
            iov[pieces - 1].iov_len += len;
        } else {
            iov[pieces].iov_base = memory->arena + off;
            iov[pieces++].iov_len = len;
        }
        end = off + len;
    }
    return pieces;
}

static tuoi_udp_refuser *tuoi_udp_refuser_of(tuo_udp *udp, const tuo_udp_peer *peer) {
    uint32_t i;
    for (i = 0; i < udp->tx.refuser_count; i++) {
        if (tuo_udp_same_addr(&udp->tx.refusers[i].peer, peer)) return &udp->tx.refusers[i];
    }
    return NULL;
}

/* The next message: a train, or one datagram of a train that is not sent as one. */
static tuoi_udp_message tuoi_udp_next_message(tuo_udp *udp) {
    const tuoi_udp_memory *const memory = &udp->memory;
    tuoi_udp_tx *const tx = &udp->tx;
    const tuo_udp_train *const train = &memory->trains[tx->at_train];
    tuoi_udp_message message;
    message.train = tx->at_train;
    message.first = tx->at_slot < 0 ? train->first : tx->at_slot;
    message.key = memory->slots[message.first].key;
    message.count = message.first == train->first && tx->at_train != tx->refused_train ? train->count : 1;
    if (message.count > 1) {
        const tuoi_udp_refuser *const refuser = tuoi_udp_refuser_of(udp, &memory->keys[message.key].peer);
        if (refuser && refuser->left) message.count = 1;
    }
    return message;
}

static void tuoi_udp_build_message(tuo_udp *udp, const tuoi_udp_message *message, struct msghdr *header,
                                   tuoi_udp_control_out *control, struct iovec *iov) {
    tuoi_udp_key *const key = &udp->memory.keys[message->key];
    const uint32_t seg_len = udp->memory.trains[message->train].seg_len;
    TUO_MEMSET(header, 0, sizeof *header);
    header->msg_namelen = tuoi_udp_addr_len(&key->peer);
    if (header->msg_namelen) header->msg_name = &key->peer.addr;
    header->msg_iov = iov;
    header->msg_iovlen = (uint16_t)tuoi_udp_gather(udp, message, iov);
    header->msg_controllen = (socklen_t)tuoi_udp_controls(udp, control->bytes, key, message->count, seg_len);
    if (header->msg_controllen) header->msg_control = control->bytes;
}

/* The next piece. Returns how many messages it has. */
static uint32_t tuoi_udp_build(tuo_udp *udp) {
    const tuoi_udp_memory *const memory = &udp->memory;
    tuoi_udp_tx *const tx = &udp->tx;
    uint32_t n = 0, pieces = 0;
    while (n < TUOI_UDP_MESSAGES && tx->at_train < tx->train_count) {
        const tuoi_udp_message message = tuoi_udp_next_message(udp);
        int32_t slot = message.first;
        uint32_t i;
        if (pieces + message.count > TUOI_UDP_IOVS) break;
        memory->messages[n] = message;
        tuoi_udp_build_message(udp, &message, &memory->mmsgs[n].header, &memory->controls[n], memory->iovs + pieces);
        pieces += message.count;
        n++;
        for (i = 0; i < message.count; i++) slot = memory->slots[slot].next;
        tx->at_slot = slot;
        if (slot < 0) tx->at_train++;
    }
    tx->at_message = 0;
    tx->message_count = n;
    return n;
}

/* What is left of the piece is built again. */
static void tuoi_udp_rebuild(tuo_udp *udp) {
    const tuoi_udp_message *const message = &udp->memory.messages[udp->tx.at_message];
    udp->tx.stale = 0;
    if (udp->tx.at_message == udp->tx.message_count) return;
    udp->tx.at_train = message->train;
    udp->tx.at_slot = message->first == udp->memory.trains[message->train].first ? -1 : message->first;
    udp->tx.at_message = udp->tx.message_count = 0;
}

/* --- what came of them --- */

/* Trains to this peer were refused, and its datagrams were not: none for a while, twice as long
   each time. */
static void tuoi_udp_switch_off(tuo_udp *udp, const tuo_udp_peer *peer) {
    tuoi_udp_tx *const tx = &udp->tx;
    tuoi_udp_refuser *refuser = tuoi_udp_refuser_of(udp, peer);
    tx->stats.switched_off++;
    if (refuser) {
        refuser->wait = refuser->wait > 0x7FFFFFFF ? 0xFFFFFFFFu : refuser->wait * 2;
        tuoi_default32(&refuser->wait, udp->desc.retry_after);
    } else {
        refuser = &tx->refusers[tx->refuser_next];
        tx->refuser_next = (tx->refuser_next + 1) % TUOI_UDP_REFUSERS; /* the oldest is forgotten */
        if (tx->refuser_count < TUOI_UDP_REFUSERS) tx->refuser_count++;
        refuser->peer = *peer;
        refuser->wait = udp->desc.retry_after;
    }
    refuser->left = refuser->wait;
    tx->stale = 1;
}

static void tuoi_udp_lose(tuo_udp *udp, int32_t slot, int error, uint32_t mtu) {
    tuoi_udp_tx *const tx = &udp->tx;
    tuo_udp_lost *const lost = &tx->lost[tx->lost_written % TUOI_UDP_LOST];
    lost->peer = udp->memory.keys[udp->memory.slots[slot].key].peer;
    lost->user = udp->memory.items[slot].user;
    lost->len = udp->memory.slots[slot].len;
    lost->error = error;
    lost->mtu = mtu;
    tx->lost_written++;
    if (tx->lost_written - tx->lost_read > TUOI_UDP_LOST) tx->lost_read++;
    tx->stats.tx_lost++;
    tx->stats.tx_too_long += error == EMSGSIZE;
    udp->memory.items[slot].done = 1;
}

/* A datagram left alone. */
static void tuoi_udp_sent_single(tuo_udp *udp, const tuoi_udp_message *message) {
    tuoi_udp_refuser *const refuser = tuoi_udp_refuser_of(udp, &udp->memory.keys[message->key].peer);
    if (refuser && refuser->left) refuser->left--;
    udp->tx.stats.tx_singles++;
    if (message->train == udp->tx.refused_train) udp->tx.stats.tx_resent++;
}

static void tuoi_udp_sent_train(tuo_udp *udp, const tuoi_udp_message *message) {
    tuoi_udp_refuser *const refuser = tuoi_udp_refuser_of(udp, &udp->memory.keys[message->key].peer);
    if (refuser) refuser->wait = 0; /* trains work again: the next refusal is a first */
    udp->tx.stats.tx_trains++;
    udp->tx.stats.tx_in_trains += message->count;
}

/* The message in front is done with; the last datagram of a refused train says whose fault it was.
   */
static void tuoi_udp_settled(tuo_udp *udp) {
    tuoi_udp_tx *const tx = &udp->tx;
    const tuoi_udp_message *const message = &udp->memory.messages[tx->at_message++];
    tx->retried = 0;
    if (message->train != tx->refused_train || udp->memory.slots[message->first].next >= 0) return;
    if (!tx->refused_lost) tuoi_udp_switch_off(udp, &udp->memory.keys[message->key].peer);
    tx->refused_train = TUOI_NO_TRAIN;
}

static void tuoi_udp_sent(tuo_udp *udp) {
    const tuoi_udp_message *const message = &udp->memory.messages[udp->tx.at_message];
    tuoi_udp_key *const key = &udp->memory.keys[message->key];
    int32_t slot = message->first;
    uint32_t i;
    for (i = 0; i < message->count; i++, slot = udp->memory.slots[slot].next) udp->memory.items[slot].done = 1;
    if (message->count > 1) tuoi_udp_sent_train(udp, message);
    else tuoi_udp_sent_single(udp, message);
    if (key->local == TUOI_LOCAL_ASKED) key->local = TUOI_LOCAL_GONE;
    if (key->local == TUOI_LOCAL_GONE) udp->tx.stats.tx_local_gone += message->count;
    tuoi_udp_settled(udp);
}

/* The single in front is lost. */
static void tuoi_udp_refused_single(tuo_udp *udp, int error) {
    tuoi_udp_tx *const tx = &udp->tx;
    const tuoi_udp_message *const message = &udp->memory.messages[tx->at_message];
    if (error == EMSGSIZE && tx->mtu_key != message->key + 1) {
        const int mtu = tuoi_udp_path_mtu(udp, &udp->memory.keys[message->key].peer);
        tx->mtu = mtu > 0 ? (uint32_t)mtu : 0;
        tx->mtu_key = message->key + 1;
    }
    tuoi_udp_lose(udp, message->first, error, error == EMSGSIZE ? tx->mtu : 0);
    tx->refused_lost = 1;
    tuoi_udp_settled(udp);
}

/* The train in front is sent singly, from its first datagram on. */
static void tuoi_udp_refused_train(tuo_udp *udp, int innocent) {
    tuoi_udp_tx *const tx = &udp->tx;
    const tuoi_udp_message *const message = &udp->memory.messages[tx->at_message];
    tuoi_udp_key *const key = &udp->memory.keys[message->key];
    tx->stats.tx_refused_trains++;
    tx->refused_train = message->train;
    tx->refused_lost = innocent; /* the errno says nothing about trains */
    tx->retried = 0;
    if (key->local == TUOI_LOCAL_INNOCENT) key->local = TUOI_LOCAL_USED; /* of the train's refusal only */
    tx->stale = 1;
}

/* Errors that ICMP alone raises: they speak of an earlier datagram. */
static int tuoi_udp_is_icmp(int error) {
    return error == ECONNREFUSED || error == EPROTO || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET;
}

/* Can it be the error of an earlier datagram, reported by the call that came next (U 1.25)? Others than
   these can, too, if the socket is connected or has an error queue. Another try is worth it as long as
   entries come out of that queue, which is read in pieces. */
static int tuoi_udp_is_pending(const tuo_udp *udp, int error) {
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    int drained;
    if (error == EINVAL || error == EIO || udp->tx.retried == TUOI_UDP_RETRIES) return 0;
    drained = tuoi_udp_drain(udp);
    if (udp->tx.retried && !drained) return 0;
    if (drained || udp->has_recverr || tuoi_udp_is_icmp(error)) return 1;
    return getpeername(udp->waiter.fd, (struct sockaddr *)&name, &len) == 0;
}

/* Is it what the kernel says of a source address that the host has not (U 1.33 to U 1.35)? */
static int tuoi_udp_is_local(int error) {
    return error == EINVAL || error == ENETUNREACH || error == EADDRNOTAVAIL || error == ENODEV;
}

/* TUO_OK: go on with the message in front. */
static tuo_result tuoi_udp_full(tuo_udp *udp) {
    udp->tx.stats.tx_again++;
    if (udp->has_recverr) (void)tuoi_udp_drain(udp); /* or poll() would not sleep */
    if (!udp->desc.blocking) return TUO_AGAIN;
    return tuoi_udp_wait_for(udp, 1);
}

/* The message in front was refused: once more, once more without its local address, singly, or
   lost; in this order. TUO_OK: go on. */
static tuo_result tuoi_udp_refused(tuo_udp *udp, int error) {
    tuoi_udp_tx *const tx = &udp->tx;
    const tuoi_udp_message *const message = &udp->memory.messages[tx->at_message];
    tuoi_udp_key *const key = &udp->memory.keys[message->key];
    if (error == EINTR) return TUO_OK;
    if (error == EAGAIN || error == EWOULDBLOCK) return tuoi_udp_full(udp);
    __atomic_store_n(&tx->last_errno, error, __ATOMIC_RELAXED);
    if (error == EBADF || error == ENOTSOCK) return TUO_E_SYSTEM;
    if (tuoi_udp_is_pending(udp, error)) {
        tx->retried++;
        tx->stats.tx_errors++;
        return TUO_OK;
    }
    if (key->local == TUOI_LOCAL_USED && tuoi_udp_is_local(error) && tuoi_udp_has_local(&key->peer)) {
        key->local = TUOI_LOCAL_ASKED;
        key->local_error = error;
        tx->stale = 1;
        return TUO_OK;
    }
    if (key->local == TUOI_LOCAL_ASKED) { /* another error than before: that one was about the address */
        key->local = error == key->local_error ? TUOI_LOCAL_INNOCENT : TUOI_LOCAL_GONE;
        tx->stale = 1;
    }
    if (message->count > 1) tuoi_udp_refused_train(udp, tuoi_udp_is_icmp(error) || error == ENOBUFS || error == ENOMEM);
    else tuoi_udp_refused_single(udp, error);
    return TUO_OK;
}

/* --- flushing --- */

static tuo_result tuoi_udp_send(tuo_udp *udp) {
    const tuoi_udp_memory *const memory = &udp->memory;
    tuoi_udp_tx *const tx = &udp->tx;
    tuo_result result = TUO_OK;
    tx->train_count = (uint32_t)tuo_udp_plan(&udp->desc.limits, memory->slots, tx->slot_count, memory->open,
                                             tx->key_count, memory->trains);
    tx->at_train = tx->at_message = tx->message_count = tx->mtu_key = 0;
    tx->at_slot = -1;
    tx->refused_train = TUOI_NO_TRAIN;
    tx->retried = 0;
    tx->stale = 0;
    while (result == TUO_OK && (tx->at_message < tx->message_count || tuoi_udp_build(udp))) {
        const uint32_t count = tx->message_count - tx->at_message;
        int returned = tuoi_sys(TUOI_SENDMMSG(udp->waiter.fd, memory->mmsgs + tx->at_message, count,
                                              MSG_DONTWAIT | MSG_NOSIGNAL));
        tx->stats.tx_calls++;
        if (returned <= 0) result = tuoi_udp_refused(udp, returned ? -returned : EAGAIN);
        else if ((uint32_t)returned < count && udp->has_recverr)
            (void)tuoi_udp_drain(udp); /* an error was told, and lost (U 1.24) */
        for (; returned > 0 && tx->at_message < tx->message_count; returned--) tuoi_udp_sent(udp);
        if (tx->stale) tuoi_udp_rebuild(udp);
    }
    return result;
}

static void tuoi_udp_lose_all(tuo_udp *udp, int error) {
    uint32_t i;
    for (i = 0; i < udp->tx.slot_count; i++) {
        if (!udp->memory.items[i].done) tuoi_udp_lose(udp, (int32_t)i, error, 0);
    }
}

static tuo_result tuoi_udp_flush(tuo_udp *udp) {
    tuoi_udp_tx *const tx = &udp->tx;
    tuo_result result = TUO_OK;
    if (tx->slot_count) result = tuoi_udp_send(udp);
    if (result == TUO_E_SYSTEM) tuoi_udp_lose_all(udp, __atomic_load_n(&tx->last_errno, __ATOMIC_RELAXED));
    tuoi_udp_compact(udp);
    tx->held = result == TUO_AGAIN || result == TUO_E_WOKEN;
    tx->broken_off |= result == TUO_E_SYSTEM;
    return result;
}

TUO_API tuo_result tuo_udp_flush(tuo_udp *udp) {
    tuo_result result;
    if (!tuoi_enter(&udp->waiter)) return tuoi_leave(&udp->waiter, TUO_E_WOKEN);
    udp->tx.is_reserved = 0;
    result = tuoi_udp_flush(udp);
    if (udp->tx.broken_off) result = TUO_E_SYSTEM;
    udp->tx.broken_off = 0;
    return tuoi_leave(&udp->waiter, result);
}

TUO_API int tuo_udp_held(const tuo_udp *udp) { return udp->tx.held; }

TUO_API tuo_result tuo_udp_next_lost(tuo_udp *udp, tuo_udp_lost *lost) {
    if (udp->tx.lost_read == udp->tx.lost_written) return TUO_DONE;
    *lost = udp->tx.lost[udp->tx.lost_read++ % TUOI_UDP_LOST];
    return TUO_OK;
}

static int tuoi_udp_has_room(const tuo_udp *udp, size_t len) {
    return udp->tx.slot_count < udp->desc.max_datagrams && udp->desc.send_bytes - udp->tx.end >= len;
}

/* NULL: no room. Not counted here. */
static uint8_t *tuoi_udp_reserve(tuo_udp *udp, size_t len) {
    tuoi_udp_tx *const tx = &udp->tx;
    tx->is_reserved = 0;
    if (len > TUOI_UDP_PAYLOAD_MAX) return NULL;
    if (!tuoi_udp_has_room(udp, len)) {
        /* a full socket costs one poll, not a plan */
        if (tx->held && !udp->desc.blocking && tuoi_ready(&udp->waiter, 1) != 0) return NULL;
        (void)tuoi_udp_flush(udp);
    }
    if (!tuoi_udp_has_room(udp, len)) return NULL;
    tx->is_reserved = 1;
    tx->reserved = (uint32_t)len;
    return udp->memory.arena + tx->end;
}

TUO_API void *tuo_udp_reserve(tuo_udp *udp, size_t len) {
    uint8_t *const bytes = tuoi_enter(&udp->waiter) ? tuoi_udp_reserve(udp, len) : NULL;
    udp->tx.stats.tx_dropped_full += bytes == NULL;
    (void)tuoi_leave(&udp->waiter, TUO_OK);
    return bytes;
}

/* The key of a reserved datagram; if there are too many of them, those before it leave first, and
   its bytes move. */
static int tuoi_udp_commit_key(tuo_udp *udp, const tuo_udp_peer *peer, uint32_t len, uint32_t *key) {
    const uint32_t end = udp->tx.end;
    if (tuoi_udp_find_key(udp, peer, key)) return 1;
    (void)tuoi_udp_flush(udp);
    if (len && udp->tx.end != end) TUO_MEMMOVE(udp->memory.arena + udp->tx.end, udp->memory.arena + end, len);
    return tuoi_udp_find_key(udp, peer, key);
}

/* 0: no room for one more peer. Not counted here. */
static int tuoi_udp_commit(tuo_udp *udp, const tuo_udp_peer *peer, size_t len, void *user) {
    tuoi_udp_tx *const tx = &udp->tx;
    const uint32_t taken = tuoi_min32((uint32_t)len, tx->reserved);
    tuo_udp_peer asked;
    tuo_udp_slot *slot;
    uint32_t key;
    TUO_ASSERT(tx->is_reserved && len <= tx->reserved);
    if (!tx->is_reserved) return 0;
    tx->is_reserved = 0;
    tuoi_udp_peer_copy(&asked, peer);
    if (!tuoi_udp_commit_key(udp, &asked, taken, &key)) return 0;
    slot = &udp->memory.slots[tx->slot_count];
    slot->len = taken;
    slot->key = key;
    udp->memory.items[tx->slot_count].user = user;
    udp->memory.items[tx->slot_count].off = tx->end;
    udp->memory.items[tx->slot_count].done = 0;
    tx->slot_count++;
    tx->end += taken;
    tx->stats.tx_datagrams++;
    tx->stats.tx_bytes += taken;
    return 1;
}

TUO_API void tuo_udp_commit(tuo_udp *udp, const tuo_udp_peer *peer, size_t len, void *user) {
    const int taken = tuoi_enter(&udp->waiter) && tuoi_udp_commit(udp, peer, len, user);
    udp->tx.stats.tx_dropped_full += !taken;
    (void)tuoi_leave(&udp->waiter, TUO_OK);
}

static tuo_result tuoi_udp_push(tuo_udp *udp, const tuo_udp_peer *peer, const void *bytes, size_t len, void *user) {
    uint8_t *to;
    if (len > TUOI_UDP_PAYLOAD_MAX) return TUO_E_INVALID;
    to = tuoi_udp_reserve(udp, len);
    if (!to) return TUO_AGAIN;
    if (len) TUO_MEMCPY(to, bytes, len);
    return tuoi_udp_commit(udp, peer, len, user) ? TUO_OK : TUO_AGAIN;
}

TUO_API tuo_result tuo_udp_push(tuo_udp *udp, const tuo_udp_peer *peer, const void *bytes, size_t len, void *user) {
    tuo_result result = TUO_AGAIN;
    if (tuoi_enter(&udp->waiter)) result = tuoi_udp_push(udp, peer, bytes, len, user);
    udp->tx.stats.tx_dropped_full += result == TUO_AGAIN;
    return tuoi_leave(&udp->waiter, result);
}

TUO_API tuo_result tuo_udp_send_batch(tuo_udp *udp, const tuo_udp_peer *peers, const tuo_buf_ops *ops,
                                      void *const *bufs, size_t count, size_t offset, size_t *taken) {
    const tuo_buf_ops *const o = ops ? ops : &tuoi_plain_ops;
    tuo_result result = TUO_OK, flushed;
    *taken = 0;
    if (!tuoi_enter(&udp->waiter)) return tuoi_leave(&udp->waiter, TUO_E_WOKEN);
    while (result == TUO_OK && *taken < count) {
        void *const buf = bufs[*taken];
        const size_t len = tuoi_ops_len(o, buf);
        result = TUO_E_INVALID;
        if (len >= offset)
            result = tuoi_udp_push(udp, &peers[*taken], tuoi_ops_data(o, buf) + offset, len - offset, buf);
        if (result == TUO_OK) ++*taken;
    }
    flushed = tuo_udp_flush(udp);
    return tuoi_leave(&udp->waiter, result == TUO_E_INVALID || flushed == TUO_OK ? result : flushed);
}

/* --- receiving --- */

/* What the control data of a message says. */
typedef struct tuoi_udp_control {
    int has_size, size;     /* UDP_GRO */
    int has_local4, has_local6;
    struct in_addr local4;
    struct in6_addr local6;
    uint32_t index6;
    uint8_t tos;
    int has_drops;
    uint32_t drops;         /* SO_RXQ_OVFL */
} tuoi_udp_control;

static int tuoi_control_int(const uint8_t *data, size_t len) {
    int value = 0;
    if (len >= sizeof value) TUO_MEMCPY(&value, data, sizeof value);
    else if (len) value = data[0];
    return value;
}

static void tuoi_udp_read_control4(tuoi_udp_control *control, int type, const uint8_t *data, size_t len) {
    tuoi_pktinfo4 info;
    if (type == TUOI_IP_TOS) {
        control->tos = (uint8_t)tuoi_control_int(data, len);
    } else if (type == TUOI_IP_PKTINFO && len >= sizeof info) {
        TUO_MEMCPY(&info, data, sizeof info);
        control->local4 = info.local;
        control->has_local4 = 1;
    }
}

/* An answer cannot leave from a multicast address. */
static void tuoi_udp_read_control6(tuoi_udp_control *control, int type, const uint8_t *data, size_t len) {
    if (type == TUOI_IPV6_TCLASS) {
        control->tos = (uint8_t)tuoi_control_int(data, len);
    } else if (type == TUOI_IPV6_PKTINFO && len >= sizeof(tuoi_pktinfo6) && data[0] != 0xFF) {
        tuoi_pktinfo6 info;
        TUO_MEMCPY(&info, data, sizeof info);
        control->local6 = info.local;
        control->index6 = (uint32_t)info.index;
        control->has_local6 = 1;
    }
}

/* One entry. 0: it cannot be what the kernel writes. */
static int tuoi_udp_read_control(tuoi_udp_control *control, int level, int type, const uint8_t *data, size_t len) {
    if (level == TUOI_SOL_UDP && type == TUOI_UDP_GRO) {
        if (len < sizeof control->size) return 0;
        control->size = tuoi_control_int(data, len);
        control->has_size = 1;
    } else if (level == IPPROTO_IP) {
        tuoi_udp_read_control4(control, type, data, len);
    } else if (level == IPPROTO_IPV6) {
        tuoi_udp_read_control6(control, type, data, len);
    } else if (level == SOL_SOCKET && type == SO_RXQ_OVFL && len >= sizeof control->drops) {
        control->drops = (uint32_t)tuoi_control_int(data, len);
        control->has_drops = 1;
    }
    return 1;
}

/* Reads bytes[0..len) only. 0: broken. */
static int tuoi_udp_read_controls(const uint8_t *bytes, size_t len, tuoi_udp_control *control) {
    TUO_MEMSET(control, 0, sizeof *control);
    while (len >= CMSG_LEN(0)) {
        struct cmsghdr header;
        const uint8_t *const data = bytes + CMSG_LEN(0);
        size_t entry;
        TUO_MEMCPY(&header, bytes, sizeof header);
        entry = (size_t)header.cmsg_len;
        if (entry < CMSG_LEN(0) || entry > len) return 0;
        if (!tuoi_udp_read_control(control, header.cmsg_level, header.cmsg_type, data, entry - CMSG_LEN(0))) return 0;
        entry = (entry + sizeof(size_t) - 1) / sizeof(size_t) * sizeof(size_t);
        if (entry >= len) break;
        bytes += entry;
        len -= entry;
    }
    return 1;
}

/* The local address and traffic class of rx->peer, whose address is there. */
static void tuoi_udp_received_at(tuo_udp_peer *peer, const tuoi_udp_control *control) {
    peer->tos = control->tos;
    if (peer->addr.any.sa_family == AF_INET) {
        if (control->has_local4) peer->local.ip4 = control->local4;
    } else if (peer->addr.any.sa_family == AF_INET6) {
        if (control->has_local6) peer->local.ip6 = control->local6;
        if (tuoi_ip6_is_link_local(&peer->local.ip6)) peer->local_scope = control->index6;
        /* of a broadcast only this one is an address of the host */
        if (control->has_local4 && tuoi_udp_is_ip4(peer)) tuoi_ip6_map(&peer->local.ip6, &control->local4);
    }
}

/* Cut into datagrams what a read gave: len bytes, as it says, of which room has at most capacity.
   0: lost, and counted. */
TUOI_WRAPS static int tuoi_udp_received(tuoi_udp_rx *rx, size_t len, size_t capacity, int flags,
                                        const tuoi_udp_control *control) {
    const size_t have = len < capacity ? len : capacity;
    const int is_cut = len > capacity || (flags & MSG_TRUNC);
    size_t count, whole;
    if (control->has_drops) {
        rx->stats.rx_kernel_drops += (uint32_t)(control->drops - rx->drops);
        rx->drops = control->drops;
    }
    if ((!control->has_size && (flags & MSG_CTRUNC)) ||
        (control->has_size && (control->size <= 0 || (size_t)control->size > len))) {
        rx->stats.rx_broken++;
        return 0;
    }
    rx->seg_len = control->has_size ? (size_t)control->size : len;
    count = rx->seg_len ? (len + rx->seg_len - 1) / rx->seg_len : 1;
    whole = is_cut ? (rx->seg_len ? have / rx->seg_len : 0) : count;
    if (is_cut && whole == count) whole--;
    rx->stats.rx_truncated += count - whole;
    rx->stats.rx_messages++;
    rx->stats.rx_trains += count > 1;
    rx->off = 0;
    rx->len = is_cut ? whole * rx->seg_len : len;
    rx->left = (uint32_t)whole;
    return whole != 0;
}

/* One read. The number of datagrams, 0 if it gave none, or -errno. */
static int tuoi_udp_read(tuo_udp *udp) {
    tuoi_udp_rx *const rx = &udp->rx;
    const size_t capacity = udp->desc.recv_bytes;
    struct msghdr message;
    struct iovec iov;
    tuoi_udp_control control;
    int returned;
    TUO_MEMSET(&message, 0, sizeof message);
    TUO_MEMSET(&rx->peer, 0, sizeof rx->peer);
    iov.iov_base = udp->memory.received;
    iov.iov_len = capacity;
    message.msg_name = &rx->peer.addr;
    message.msg_namelen = sizeof rx->peer.addr;
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = rx->control.bytes;
    message.msg_controllen = sizeof rx->control.bytes;
    returned = tuoi_sys(recvmsg(udp->waiter.fd, &message, MSG_DONTWAIT | MSG_TRUNC)); /* MSG_TRUNC: the true length */
    if (returned < 0) return returned;
    if (!tuoi_udp_read_controls(rx->control.bytes, (size_t)message.msg_controllen, &control)) {
        rx->stats.rx_broken++;
        return 0;
    }
    tuoi_udp_received_at(&rx->peer, &control);
    return tuoi_udp_received(rx, (size_t)returned, capacity, message.msg_flags, &control) ? (int)rx->left : 0;
}

/* Nothing is there: wait, if this call may. TUO_OK: read again. */
static tuo_result tuoi_udp_empty(tuo_udp *udp) {
    tuoi_round *const round = &udp->rx.round;
    const int is_first = round->reads == 0;
    if (udp->has_recverr) (void)tuoi_udp_drain(udp); /* or poll() would not sleep */
    tuoi_round_found_nothing(round);
    if (!udp->desc.blocking) return TUO_AGAIN;
    if (!is_first) return TUO_MORE;
    return tuoi_udp_wait_for(udp, 0);
}

/* A read was told an error. TUO_OK: it spoke of an earlier send, most likely: read again. */
static tuo_result tuoi_udp_read_failed(tuo_udp *udp, int error, int *errors) {
    tuoi_udp_rx *const rx = &udp->rx;
    if (error == EINTR) return TUO_OK;
    if (error == EAGAIN || error == EWOULDBLOCK) return tuoi_udp_empty(udp);
    __atomic_store_n(&rx->last_errno, error, __ATOMIC_RELAXED);
    if (error == EBADF || error == ENOTSOCK) return TUO_E_SYSTEM;
    rx->stats.rx_errors++;
    if (tuoi_udp_drain(udp) == 0) ++*errors;
    return *errors < TUOI_UDP_READ_TRIES ? TUO_OK : TUO_E_SYSTEM; /* it does not go away: of the socket itself */
}

/* The next message. Messages without a datagram end it only when they are many. */
static tuo_result tuoi_udp_fill(tuo_udp *udp) {
    tuo_result result = TUO_OK;
    int tries, errors = 0;
    for (tries = 0; tries < TUOI_UDP_READ_TRIES && result == TUO_OK; tries++) {
        const int returned = tuoi_udp_read(udp);
        if (returned > 0) {
            tuoi_round_read(&udp->rx.round, (size_t)returned);
            return TUO_OK;
        }
        if (returned < 0) result = tuoi_udp_read_failed(udp, -returned, &errors);
    }
    if (result != TUO_AGAIN) tuoi_round_begin(&udp->rx.round);
    return result == TUO_OK ? TUO_MORE : result;
}

/* TUO_OK: rx->left is not 0. */
static tuo_result tuoi_udp_ready_one(tuo_udp *udp) {
    tuoi_udp_rx *const rx = &udp->rx;
    if (rx->left) return TUO_OK;
    if (tuoi_round_over(&rx->round)) {
        tuoi_round_begin(&rx->round);
        return TUO_MORE;
    }
    return tuoi_udp_fill(udp);
}

static void tuoi_udp_take_one(tuo_udp *udp, tuo_udp_datagram *datagram) {
    tuoi_udp_rx *const rx = &udp->rx;
    const size_t rest = rx->len - rx->off;
    datagram->data = udp->memory.received + rx->off;
    datagram->len = rx->seg_len < rest ? rx->seg_len : rest;
    datagram->peer = &rx->peer;
    rx->off += datagram->len;
    rx->left--;
    rx->stats.rx_datagrams++;
    rx->stats.rx_bytes += datagram->len;
    tuoi_round_took(&rx->round, datagram->len);
}

TUO_API tuo_result tuo_udp_next(tuo_udp *udp, tuo_udp_datagram *datagram) {
    tuo_result result;
    if (!tuoi_enter(&udp->waiter)) return tuoi_leave(&udp->waiter, TUO_E_WOKEN);
    result = tuoi_udp_ready_one(udp);
    if (result == TUO_OK) tuoi_udp_take_one(udp, datagram);
    return tuoi_leave(&udp->waiter, result);
}

TUO_API int tuo_udp_pending(const tuo_udp *udp) { return udp->rx.left != 0; }

/* The datagram in front into a buffer, if it fits. */
static tuo_result tuoi_udp_fill_buf(tuo_udp *udp, const tuo_buf_ops *ops, void *buf, size_t offset,
                                    tuo_udp_peer *peer) {
    const size_t rest = udp->rx.len - udp->rx.off, len = udp->rx.seg_len < rest ? udp->rx.seg_len : rest;
    const size_t capacity = tuoi_ops_capacity(ops, buf);
    tuo_udp_datagram datagram;
    if (capacity < offset || capacity - offset < len) return TUO_E_NOSPACE;
    if (tuoi_ops_resize(ops, buf, offset + len) != 0) return TUO_E_BUFFER;
    tuoi_udp_take_one(udp, &datagram);
    if (len) TUO_MEMCPY(tuoi_ops_data(ops, buf) + offset, datagram.data, len);
    if (peer) *peer = *datagram.peer;
    return TUO_OK;
}

TUO_API tuo_result tuo_udp_recv_batch(tuo_udp *udp, const tuo_buf_ops *ops, void *const *bufs, size_t count,
                                      size_t offset, tuo_udp_peer *peers, size_t *received) {
    const tuo_buf_ops *const o = ops ? ops : &tuoi_plain_ops;
    tuo_result result = TUO_OK;
    *received = 0;
    if (!tuoi_enter(&udp->waiter)) return tuoi_leave(&udp->waiter, TUO_E_WOKEN);
    while (result == TUO_OK && *received < count) {
        result = tuoi_udp_ready_one(udp);
        if (result == TUO_MORE && *received == 0) result = tuoi_udp_ready_one(udp); /* of the call before: its round */
        if (result == TUO_OK)
            result = tuoi_udp_fill_buf(udp, o, bufs[*received], offset, peers ? &peers[*received] : NULL);
        if (result == TUO_OK) ++*received;
    }
    return tuoi_leave(&udp->waiter, *received ? TUO_OK : result);
}

#endif /* TUNOFFLOAD_UDP */

#endif /* TUNOFFLOAD_IMPLEMENTATION_DONE */
#endif /* TUNOFFLOAD_IMPLEMENTATION */

/* --------------------------------------------------------------------------------------- >>history

   0.2.0   Renamed: tuo_csum_check, tuo_tun_group, tuo_tun_parts, ..._batch, tuo_buf.capacity,
           tuo_caps.ethernet. Outputs are the last arguments, but an init or open has its new object
           first. tuo_gro_desc.ip_id replaces exact_ip_id and ignore_df_ip_id, and adds
           TUO_IP_ID_ANY.
           New: order repair joins items when a gap is filled; tuo_tun_next, _push, _flush for event
           loops, and the same for a UDP socket (TUNOFFLOAD_UDP, tuo_udp_plan); tuo_tun_failure,
           tuo_tun_set_offloads, tuo_tun_inject, tuo_tun_group_adopt, tuo_tun_probe_tunnels; tuo_tun_query_info,
           _query_rx_stats, _query_tx_stats; tuo_version, tuo_sizeof, tuo_simd_flag; TUO_CALLOC,
           TUO_FREE; in tuo_tun_desc share, no_netlink, address6_optional, tx_queue_len,
           hold_when_down, borrowed, path, udp_tunnels; in tuo_gro_desc virtio_guest,
           tcp_excluded_ports, merge_zero_csum4, finish_checksum; in tuo_caps mtu, max_hdr_len,
           tx_vlan_insert; in tuo_tx_packet wire_len_max, vlan_insert, vlan_tci; TUO_F_STRIP_JUMBO;
           TUO_E_MTU, TUO_E_VNET_ACCECN, TUO_E_IP6_JUMBO. Superpackets in UDP tunnels are split, and
           made (vxlan_ports, geneve_ports, tun_writes_tunnels).
           Changed: TUO_E_DOWN of tuo_tun_send_batch drops. Held packets are verified again before
           they leave. A device in use is refused. Settings reach no other interface, and need no
           right where they hold already. tuo_csum_update16 of equal words leaves the field
           unchanged. Writes of a few pieces need little stack.
   0.1.0   GRO, GSO, checksums, virtio-net headers, flow table, capabilities, Linux TUN backend. */

/* --------------------------------------------------------------------------------------- >>license

   This software is available under two licences. Choose whichever you prefer.

   ALTERNATIVE A - MIT No Attribution (MIT-0)

   Copyright 2026 the tunoffload.h authors

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
   associated documentation files (the "Software"), to deal in the Software without restriction,
   including without limitation the rights to use, copy, modify, merge, publish, distribute,
   sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
   furnished to do so.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
   NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
   DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

   ALTERNATIVE B - Public Domain (Unlicense)

   This is free and unencumbered software released into the public domain.

   Anyone is free to copy, modify, publish, use, compile, sell, or distribute this software, either
   in source code form or as a compiled binary, for any purpose, commercial or non-commercial, and
   by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this software dedicate
   any and all copyright interest in the software to the public domain. We make this dedication for
   the benefit of the public at large and to the detriment of our heirs and successors. We intend
   this dedication to be an overt act of relinquishment in perpetuity of all present and future
   rights to this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
   NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
   LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
   CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

   For more information, please refer to <https://unlicense.org/> */
