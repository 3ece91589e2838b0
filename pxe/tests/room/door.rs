//! A way to the port of people for programs that speak no TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

/// It is open until it is dropped.
pub(super) struct Door {
    /// `http://ADDRESS:PORT`.
    pub(super) url: String,
    _end: oneshot::Sender<()>,
}

impl Door {
    /// To a server that has the certificate in this folder of state, and to no other.
    pub(super) fn open(to: SocketAddr, state: &Path) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (end, ended) = oneshot::channel();
        let certificate = state.join("tls-certificate.pem");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = serve(listener, to, certificate) => {}
                    _ = ended => {}
                }
            });
        });
        Self { url, _end: end }
    }
}

async fn serve(listener: TcpListener, to: SocketAddr, certificate: PathBuf) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let certificate = certificate.clone();
        tokio::spawn(async move {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
            // A server that has ended refuses, and then so does this.
            let Ok(far) = TcpStream::connect(to).await else { return };
            let name = ServerName::from(to.ip());
            let Ok(mut far) = TlsConnector::from(Arc::new(config)).connect(name, far).await else { return };
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
