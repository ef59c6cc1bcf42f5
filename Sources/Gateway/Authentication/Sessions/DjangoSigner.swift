import Broker
import Crypto
import Foundation

/// Verifies the output of `django.core.signing.dumps`: `PAYLOAD:TIME:SIGNATURE`, or `.PAYLOAD:…` when compressed.
///
/// Source: Django 5.2, `django/core/signing.py`. TIME is seconds since 1970 in base 62; SIGNATURE is the HMAC-SHA256 of
/// everything before it, keyed with the SHA-256 of salt, `signer` and SECRET_KEY.
struct DjangoSigner: Sendable {
    /// Larger payloads are refused, whether compressed or not.
    static let maximumPayload = 64 << 10

    private let keys: [SymmetricKey]

    /// - Parameter secrets: SECRET_KEY, then SECRET_KEY_FALLBACKS.
    init(secrets: [String], salt: String) {
        keys = secrets.map { SymmetricKey(data: SHA256.hash(data: Array((salt + "signer" + $0).utf8))) }
    }

    /// Checks the signature and returns the payload and its time.
    ///
    /// - Throws: `LoginFailure.refused`, whose text repeats nothing of the input.
    func read(_ text: String) throws(LoginFailure) -> (payload: [UInt8], signedAt: Int64) {
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 3, let signature = Base64.url.decode(parts[2]) else {
            throw .refused("the session cookie is not signed by Django")
        }
        let signed = Array(text.utf8[..<parts[1].endIndex])
        guard
            keys.contains(where: {
                HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: signed, using: $0)
            })
        else { throw .refused("the session cookie's signature is wrong") }
        guard let time = Self.base62(parts[1]) else { throw .refused("the session cookie's time is invalid") }
        let isCompressed = parts[0].first == UInt8(ascii: ".")
        guard let bytes = Base64.url.decode(isCompressed ? parts[0].dropFirst() : parts[0]) else {
            throw .refused("the session cookie is not in base64url")
        }
        guard isCompressed else { return (bytes, time) }
        do {
            return (try InflateStream.zlib(bytes, maximumBytes: Self.maximumPayload), time)
        } catch .tooBig {
            throw .refused("the session has more than \(Self.maximumPayload) bytes")
        } catch {
            throw .refused("the session cookie cannot be decompressed")
        }
    }

    static func base62(_ digits: some Collection<UInt8>) -> Int64? {
        // Ten digits exceed any real time and cannot overflow Int64.
        guard (1...10).contains(digits.count) else { return nil }
        var value: Int64 = 0
        for digit in digits {
            let one: Int64
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): one = Int64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): one = Int64(digit - UInt8(ascii: "A")) + 10
            case UInt8(ascii: "a")...UInt8(ascii: "z"): one = Int64(digit - UInt8(ascii: "a")) + 36
            default: return nil
            }
            value = value * 62 + one
        }
        return value
    }
}
