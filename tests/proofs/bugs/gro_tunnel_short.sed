# proof: gro_tunnel_inner
# breaks: outside object bounds
# the inner Ethernet header may end behind the packet
s/if (len < off + TUOI_VLAN_LEN) return TUOI_NONE;/if (len < off) return TUOI_NONE;/
