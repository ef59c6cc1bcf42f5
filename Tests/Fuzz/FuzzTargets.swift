import Foundation

/// Called by libFuzzer with each input; runs the target named by TOCSIN_FUZZ. Not part of the package: scripts/fuzz compiles it
/// with the modules it needs.
///
/// A target traps if a property does not hold, which libFuzzer reports as a crash.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTargets.chosen(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}

enum FuzzTargets {
    typealias Target = @Sendable ([UInt8]) -> Void

    /// Each has a folder of inputs in corpus/.
    private static let all: [String: Target] = [
        "centrifuge": centrifuge, "configuration": configuration, "fernet": fernet, "frames": frames,
        "inflate": inflate, "json": json, "jwks": jwks, "jwt": jwt, "msgpack": msgpack, "names": names,
        "proxies": proxies, "replies": replies, "requests": requests, "sessions": sessions, "zlib": zlib,
    ]

    static let chosen: Target = {
        let name = ProcessInfo.processInfo.environment["TOCSIN_FUZZ"] ?? "nothing"
        guard let target = all[name] else {
            fatalError("TOCSIN_FUZZ must be one of \(all.keys.sorted().joined(separator: ", ")), not \(name)")
        }
        return target
    }()
}
