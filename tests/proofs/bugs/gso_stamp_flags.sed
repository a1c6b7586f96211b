# proof: gso_stamp gso_stamp_shapes
# breaks: FIN and PSH
# FIN and PSH on every segment
s/if (!last) flags \&= ~(unsigned)(TUOI_FIN | TUOI_PSH);//
