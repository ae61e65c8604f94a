"""What packages copy: attention by tiles, native code, grouped products, and what times them."""
