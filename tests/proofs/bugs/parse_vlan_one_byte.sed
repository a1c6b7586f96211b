# proof: parse_promise
# breaks: outside object bounds\|region
# a tag may lack its last byte
s/if (len - off < TUOI_VLAN_LEN) return TUO_E_TRUNCATED;/if (len - off < TUOI_VLAN_LEN - 1) return TUO_E_TRUNCATED;/
