# proof: gro_tunnel_differs
# breaks: gives to all is equal
# the last byte in front of the inner IP header is not compared
s/item->shape.ip_off - opaque_off)/item->shape.ip_off - opaque_off - 1)/
