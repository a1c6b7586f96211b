#!/bin/sh
# A table of the README. Usage: table.sh micro.csv, or e2e.csv, or tunnel.csv
if [ "$(basename "$1")" = e2e.csv ]; then
    exec awk -F, '
        NR == 1 { print "| mode | streams | Gbit/s | CPU s/GB | of it user | CPU, pass = 1 |"; print "|---|---:|---:|---:|---:|---:|"; next }
        { printf "| `%s` | %s | %.1f | %.2f | %.2f | %.2f |\n", $1, $2, $3, $4, $5, $8 }' "$1"
fi
if [ "$(basename "$1")" = tunnel.csv ]; then
    exec awk -F, '
        NR == 1 { print "| program | TCP streams | Gbit/s | CPU s/GB, sender | receiver | Gbit/s, naive = 1 | CPU, naive = 1 |"
                  print "|---|---:|---:|---:|---:|---:|---:|"; next }
        $2 == "tcp" { printf "| `%s` | %s | %.1f | %.2f | %.2f | %.1f | %.3f |\n", $1, $3, $4, $5, $6, $7, $8 }' "$1"
fi
awk -F, '
function cell(row, implementation) { return (row, implementation) in ratio ? sprintf("%.2f", ratio[row, implementation]) : "-" }
function line(row, text,    limit) {
    limit = cell(row, row ~ /copy/ && row !~ /^csum_[0-9]/ ? "limit_fused" : "limit_sum")
    printf "| %s | **%s** | %s | %s | %s | %s | %s | %s |\n", text, cell(row, "tunoffload"), cell(row, "tunoffload_batch"), cell(row, "tunoffload_scalar"), cell(row, "dpdk"),
        cell(row, "textbook"), cell(row, "plain_loop"), limit
}
{ ratio[$1, $2] = $6 }
END {
    print "| work | tunoffload | batch calls | without SIMD | DPDK | textbook C | plain loop | limit |"
    print "|---|---:|---:|---:|---:|---:|---:|---:|"
    line("split_tcp4_copy", "split 45 x 1448, TCP/IPv4, copied")
    line("split_tcp4_iterator", "the same, headers and borrowed payload")
    line("split_tcp4_in_place", "the same, in place")
    line("split_udp6_copy", "split 46 x 1400, UDP/IPv6, copied")
    line("gro_tcp4_1flow_verify_copy", "coalesce 128 x 1500, 1 flow, verified, copied")
    line("gro_tcp4_1flow_verify_gather", "verified, gathered")
    line("gro_tcp4_1flow_trust_gather", "trusted, gathered")
    line("gro_udp6_1flow_verify_gather", "UDP/IPv6, verified, gathered")
    line("gro_tcp4_8flows_verify_gather", "8 flows in turn, verified, gathered")
    line("gro_tcp4_reordered_verify_gather", "10 % reordered, verified, gathered")
    line("gro_tcp4_128flows_verify_gather", "128 flows, nothing merges (1 flow = 1)")
    line("gro_tcp4_acks_verify_gather", "128 pure ACKs (same unit)")
    line("gro_tcp4_acks_verify_copy", "the same, copied")
    line("csum_1500", "checksum of 1500 bytes")
}' "$1"
