//! The BitTorrent broadcast engine of ezio.
