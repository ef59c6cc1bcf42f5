import CSockets
import Glibc

/// Starts a thread for an event loop.
enum LoopThread {
    private final class Body {
        let name: String
        let run: () -> Void
        init(_ name: String, _ run: @escaping () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Runs the body on a new thread, which ends with it.
    ///
    /// - Parameter name: shown by `top -H`; at most 15 bytes.
    static func start(name: String, _ run: @escaping () -> Void) {
        let body = Unmanaged.passRetained(Body(name, run)).toOpaque()
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                let body = Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
                csockets_name_thread(body.name)
                body.run()
                return nil
            }, body)
        precondition(code == 0, "no thread: errno \(code)")
        pthread_detach(thread)
    }
}
