# proof: vnet_check
# breaks: one segment for the kernel
# a single segment with TCP options is written with its GSO type (K 1.8)
s/if (info->payload_len <= vnet->gso_size) return TUO_E_VNET_GSO_SIZE;//
