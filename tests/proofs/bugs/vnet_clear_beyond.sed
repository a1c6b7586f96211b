# proof: vnet_clear
# breaks: no byte outside
# the last store ends behind the header
/tuoi_vnet_clear(uint8_t/,/^}/s/p + vnet_hdr_len - 8, 0, 8/p + 4, 0, 8/
