// cpp - the TUN backend in C++17: handles that close themselves, errors as exceptions, an orderly end.
// c++ -std=c++17 -O2 -I.. -o cpp cpp.cc
// Sends each packet back with its addresses exchanged: each address behind the device answers for this host. As root:
//   ./cpp tun0 &
//   ping 10.9.0.2
// The header is C and C++. A project with C files can instead compile the implementation in one of these.
#define TUNOFFLOAD_TUN
#define TUNOFFLOAD_IMPLEMENTATION
#include "tunoffload.h"
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

struct Close {
    void operator()(tuo_tun *tun) const { tuo_tun_close(tun); }
};
using Tun = std::unique_ptr<tuo_tun, Close>;

static Tun open_tun(const std::string &name) {
    tuo_tun_desc desc{};
    tuo_tun *tun = nullptr;
    int error = 0;
    desc.name = name.c_str();
    desc.address4 = "10.9.0.1/24";
    desc.up = 1;
    const tuo_result result = tuo_tun_open(&tun, &desc, &error);
    if (error != 0) throw std::system_error(error, std::generic_category(), name);
    if (result != TUO_OK) throw std::runtime_error(name + ": " + tuo_result_text(result));
    return Tun(tun);
}

static void exchange_addresses(std::uint8_t *ip, std::size_t ip_len) {
    const std::size_t len = ip[0] >> 4 == 4 ? 4 : 16, at = len == 4 ? 12 : 8;
    if (ip_len < at + 2 * len) return;
    std::swap_ranges(ip + at, ip + at + len, ip + at + len);
}

// Until the queue is woken. Throws if the device fails.
static void run(tuo_tun *tun) {
    tuo_result result = TUO_OK;
    while (result != TUO_E_WOKEN) {
        tuo_buf packet;
        while ((result = tuo_tun_next(tun, &packet)) == TUO_OK) {
            exchange_addresses(packet.data, packet.len);
            tuo_tun_push(tun, packet.data, packet.len);
        }
        tuo_tun_flush(tun); // before the loop sleeps
        if (result == TUO_AGAIN) result = tuo_tun_wait(tun, tuo_tun_held(tun), -1);
        if (result < 0 && result != TUO_E_WOKEN) throw std::runtime_error(tuo_result_text(result));
    }
}

// While it lives, SIGINT and SIGTERM wake the queue.
class Signals {
    static inline tuo_tun *to_wake;
    static void handle(int) { tuo_tun_wake(to_wake); }
    static void install(void (*handler)(int)) {
        std::signal(SIGINT, handler);
        std::signal(SIGTERM, handler);
    }

public:
    explicit Signals(tuo_tun *tun) {
        to_wake = tun;
        install(handle);
    }
    ~Signals() { install(SIG_DFL); }
    Signals(const Signals &) = delete;
    Signals &operator=(const Signals &) = delete;
};

int main(int argc, char **argv) {
    try {
        const Tun tun = open_tun(argc > 1 ? argv[1] : "tun0");
        const Signals signals(tun.get()); // declared behind tun, so gone before it
        run(tun.get());
    } catch (const std::exception &e) {
        std::fprintf(stderr, "cpp: %s\n", e.what());
        return 1;
    }
}
