# proof: vnet_reasons
# breaks: hdr_len
# the wrong name for a refusal
s/if (vnet->hdr_len > len) return TUO_E_VNET_HDR_LEN;/if (vnet->hdr_len >= len) return TUO_E_VNET_HDR_LEN;/
