# proof: gro_tunnel_differs
# breaks: outer ID
# outer IDs follow the DF bit of the inner packet
s/pkt->facts.outer_ip_id, TUOI_ID_UNDECIDED, pkt->facts.outer_df)/pkt->facts.outer_ip_id, TUOI_ID_UNDECIDED, 1)/
