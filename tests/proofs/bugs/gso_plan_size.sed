# proof: gso_plan
# breaks: segment size
# one full segment is cut
s/if (info->payload_len > vnet->gso_size) return tuoi_gso_verify/if (info->payload_len >= vnet->gso_size) return tuoi_gso_verify/
