"""Throw-away certificates for the secure listeners: one authority, one broker, one client, all made by openssl.

They are good for a week and protect nothing; the private keys never leave the instance's folder.
"""

import subprocess

DAYS = "7"
KEY_PASSWORD = "key-password"
NEW_KEY = ("-newkey", "rsa:2048", "-nodes", "-keyout")


def create(folder):
    """Make `folder` with ca.pem, client.pem, client.key (also encrypted), and broker-keystore.pem for the broker."""
    folder.mkdir()
    openssl(folder, "req", "-x509", *NEW_KEY, "ca.key", "-out", "ca.pem", "-days", DAYS, "-subj", "/CN=millstream test authority")
    signed(folder, "broker", "/CN=127.0.0.1", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    signed(folder, "client", "/CN=millstream-client", "extendedKeyUsage=clientAuth")
    # What the broker loads: its key (PKCS #8, as openssl writes it) and its chain in one PEM file.
    parts = [(folder / name).read_text() for name in ("broker.key", "broker.pem", "ca.pem")]
    (folder / "broker-keystore.pem").write_text("".join(parts))
    openssl(folder, "pkcs8", "-topk8", "-in", "client.key", "-out", "client-encrypted.key", "-passout", f"pass:{KEY_PASSWORD}")


def signed(folder, name, subject, extension):
    """A key and a certificate of the authority for it: NAME.key, NAME.pem."""
    openssl(folder, "req", *NEW_KEY, f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    (folder / f"{name}.ext").write_text(extension + "\n")
    authority = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *authority, "-out", f"{name}.pem", "-days", DAYS, "-extfile", f"{name}.ext")


def openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
