//! What a control plane is given to make and check tokens.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// The token of a user with all rights. It opens nothing outside the tests' own network namespace.
pub const ADMIN_TOKEN: &str = "cluster-tests-admin";

/// Writes the pair of keys for ServiceAccount tokens (`tokens.key`, `tokens.pub`) and the administrator's token
/// (`tokens.csv`).
pub fn write(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    /// SubjectPublicKeyInfo up to the point, of a key on P-256 (RFC 5480, section 2).
    const P256: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let random = SystemRandom::new();
    let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)
        .map_err(|_| "the system has no randomness")?;
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, private.as_ref(), &random)?;
    let public = [&P256, pair.public_key().as_ref()].concat();
    fs::write(
        folder.join("tokens.key"),
        pem("PRIVATE KEY", private.as_ref()),
    )?;
    fs::write(folder.join("tokens.pub"), pem("PUBLIC KEY", &public))?;
    let administrator = format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n");
    fs::write(folder.join("tokens.csv"), administrator)?;
    Ok(())
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
