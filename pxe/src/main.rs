//! The server of ezio: DHCP, TFTP, HTTP, tracker, seeder and the view of the room.

fn main() {}
