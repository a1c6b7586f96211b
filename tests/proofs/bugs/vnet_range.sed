# proof: vnet_check
# breaks: checksum field within
# csum_start is not widened
s/(size_t)vnet->csum_start + vnet->csum_offset + 2 > len/(uint16_t)(vnet->csum_start + vnet->csum_offset + 2) > len/
