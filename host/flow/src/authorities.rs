use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::Digest;

/// Certificate authorities that a flow file names, in place of the usual ones.
#[derive(Clone)]
pub struct Authorities {
    digest: Digest,
    roots: Arc<RootCertStore>,
}

/// Why a file names no certificate authorities.
#[derive(Debug, thiserror::Error)]
pub enum NotAuthorities {
    #[error("it is no PEM file: {0}")]
    NotPem(rustls::pki_types::pem::Error),
    #[error("no certificate is in it")]
    None,
    #[error("its certificate number {number} cannot be trusted: {cause}")]
    Unusable { number: usize, cause: rustls::Error },
}

impl Authorities {
    /// Trusts nobody: what is known of a flow that was removed is its file alone.
    pub(super) fn nobody() -> Self {
        Self {
            digest: Digest::of(b""),
            roots: Arc::new(RootCertStore::empty()),
        }
    }

    /// # Errors
    /// Where one of its certificates cannot be used, or there is none.
    pub fn parse(pem: &[u8]) -> Result<Self, NotAuthorities> {
        let mut roots = RootCertStore::empty();
        for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let certificate = certificate.map_err(NotAuthorities::NotPem)?;
            let number = at + 1;
            roots
                .add(certificate)
                .map_err(|cause| NotAuthorities::Unusable { number, cause })?;
        }
        if roots.is_empty() {
            return Err(NotAuthorities::None);
        }
        Ok(Self {
            digest: Digest::of(pem),
            roots: Arc::new(roots),
        })
    }

    pub fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({:.12})", self.digest)
    }
}
