// swift-tools-version:6.2
import Foundation
import PackageDescription

// Reasons for the dependencies: docs/decisions.md, "Dependencies".
let package = Package(
    name: "tocsin",
    products: [
        .executable(name: "tocsin", targets: ["tocsin"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
    ],
    targets: [
        .target(name: "CHiredis", linkerSettings: [.linkedLibrary("hiredis")]),
        .target(name: "CSockets"),
        .target(name: "Sockets", dependencies: ["CSockets", .product(name: "NIOCore", package: "swift-nio")]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "RedisClient",
            dependencies: [
                "CHiredis", "Sockets",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(name: "Broker", dependencies: [.product(name: "NIOCore", package: "swift-nio")]),
        .target(
            name: "ChannelLayer",
            dependencies: [
                "Broker", "RedisClient", "Sockets",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            // A link to redis/tocsin.lua: the program embeds the library that it loads.
            resources: [.embedInCode("tocsin.lua")]
        ),
        .target(
            name: "Gateway",
            dependencies: [
                "Broker", "CZlib", "Sockets",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
            ],
            resources: [.embedInCode("HTTP/demo.html")]
        ),
        .target(
            name: "Operations",
            dependencies: [
                "Broker", "Escalation",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(
            name: "Escalation",
            dependencies: [
                "Broker",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .executableTarget(
            name: "tocsin",
            dependencies: [
                "Broker", "RedisClient", "ChannelLayer", "Gateway", "Operations", "Escalation", "Sockets",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        // Shared by the tests of several modules: a real redis-server, a plain TCP client, a seeded generator.
        .target(
            name: "TestSupport",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/Support"
        ),
        .testTarget(
            name: "SocketsTests",
            dependencies: ["Sockets", "CSockets", "TestSupport", .product(name: "NIOCore", package: "swift-nio")],
            path: "Tests/Sockets"
        ),
        .testTarget(
            name: "BrokerTests",
            dependencies: ["Broker", "TestSupport", .product(name: "NIOCore", package: "swift-nio")],
            path: "Tests/Broker"
        ),
        .testTarget(
            name: "RedisClientTests",
            dependencies: [
                "RedisClient", "CHiredis", "Sockets", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/RedisClient",
            exclude: ["fuzz_hiredis.c"]
        ),
        .testTarget(
            name: "ChannelLayerTests",
            dependencies: [
                "ChannelLayer", "Broker", "RedisClient", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/ChannelLayer",
            exclude: ["Messages/make_vectors.py"]
        ),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Gateway", "Broker", "Sockets", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Tests/Gateway",
            exclude: ["make_origin_vectors.py", "make_deflate_vectors.py", "make_login_vectors.py"],
            resources: [.embedInCode("Authentication/login_vectors.json")]
        ),
        .testTarget(
            name: "OperationsTests",
            dependencies: [
                "Operations", "Broker", "Escalation", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/Operations"
        ),
        .testTarget(
            name: "EscalationTests",
            dependencies: [
                "Escalation", "Broker", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Escalation"
        ),
        .testTarget(
            name: "TocsinTests",
            dependencies: [
                "tocsin", "Broker", "Escalation", "Gateway", "RedisClient",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/tocsin"
        ),
    ]
)

// The image is built without Tests.
if !FileManager.default.fileExists(atPath: Context.packageDirectory + "/Tests") {
    package.targets.removeAll { $0.path?.hasPrefix("Tests/") == true }
}

for target in package.targets where target.type != .system && !["CHiredis", "CSockets"].contains(target.name) {
    target.swiftSettings = [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ]
    if Context.environment["TOCSIN_STRICT"] != nil {
        target.swiftSettings?.append(.treatAllWarnings(as: .error))
    }
}
