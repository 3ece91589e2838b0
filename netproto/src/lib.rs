//! DHCP and TFTP, the parts that client and server share.
