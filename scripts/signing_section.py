"""The section of docs/api.md on signing: its worked example is signed by the code that checks signatures."""

import hmac
from hashlib import sha256

from vnum.service.signing import Signed

SECRET = "3b7e1f0c94d2a65883e1c07f5a9b4d26e8f31a7c0d59b2467f8e13a5c6d0924b"  # noqa: S105 - of an example
BODY = '{"items":[{"merchant_id":"shop-1","order_id":"A1001"}]}'
EXAMPLE = Signed(
    key_id="5f0c2b7a91de",
    timestamp="2026-10-05T04:00:00Z",
    nonce="9b2c1e4a7d0f",
    signature="",
    method="POST",
    path="/v1/labels/current",
    query="",
    digest=sha256(BODY.encode()).hexdigest(),
)
SIGNATURE = hmac.digest(SECRET.encode(), EXAMPLE.text, "sha256").hex()

TEXT = f"""## Signing

A key made with `vnum keys add --signed` (or `POST /v1/keys` with `"signed": true`) has an id and a secret that never travels. Each request carries, in place of `Authorization`:

| header | what |
|---|---|
| `X-Vnum-Key` | the id of the key |
| `X-Vnum-Timestamp` | now, as RFC 3339 with its offset or as milliseconds since 1970; at most 5 minutes off, else 401 `timestamp_out_of_range` |
| `X-Vnum-Nonce` | 8 to 64 characters of `A-Za-z0-9._-`, new for each request and each repeat of one, else 401 `nonce_reused` |
| `X-Vnum-Signature` | HMAC-SHA256 in lower-case hex, with the secret as it was shown; else 401 `signature_invalid` |
| `X-Vnum-Content-SHA256` | only where the body is a file (`POST /v1/reconciliations`): SHA-256 of it, in hex |

Signed are six lines joined by line feeds, none at the end: the method; the path and the query (without `?`, empty if there is none) exactly as they stand in the request line; timestamp and nonce as sent; SHA-256 of the body in hex, of a request without a body that of no bytes. For example:

```text
{EXAMPLE.text.decode()}
```

With the secret `{SECRET}` the signature is `{SIGNATURE}`. In a shell:

```sh
KEY={EXAMPLE.key_id} SECRET={SECRET}
BODY='{BODY}'
TIMESTAMP={EXAMPLE.timestamp} NONCE={EXAMPLE.nonce} # in earnest: $(date -u +%FT%TZ) and $(openssl rand -hex 12)
DIGEST=$(printf %s "$BODY" | openssl dgst -sha256 -r | cut -d' ' -f1)
SIGNATURE=$(printf '%s\\n%s\\n%s\\n%s\\n%s\\n%s' POST /v1/labels/current '' "$TIMESTAMP" "$NONCE" "$DIGEST" |
  openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)
set -- -H "X-Vnum-Key: $KEY" -H "X-Vnum-Timestamp: $TIMESTAMP" -H "X-Vnum-Nonce: $NONCE" -H "X-Vnum-Signature: $SIGNATURE"
echo curl "$@" -H 'Content-Type: application/json' -d "$BODY" localhost:8080/v1/labels/current
```

In Python:

```python
import hmac
from hashlib import sha256

key, secret = "{EXAMPLE.key_id}", "{SECRET}"
body = b'{BODY}'
timestamp, nonce = "{EXAMPLE.timestamp}", "{EXAMPLE.nonce}"  # in earnest: the time, and secrets.token_hex(12)
lines = ["POST", "/v1/labels/current", "", timestamp, nonce, sha256(body).hexdigest()]
signature = hmac.digest(secret.encode(), "\\n".join(lines).encode(), "sha256").hex()
headers = {{
    "X-Vnum-Key": key,
    "X-Vnum-Timestamp": timestamp,
    "X-Vnum-Nonce": nonce,
    "X-Vnum-Signature": signature,
}}
print(headers)
```
"""
