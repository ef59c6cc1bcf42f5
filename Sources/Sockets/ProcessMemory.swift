import CSockets

/// The process' memory, as held by the allocator.
public enum ProcessMemory {
    /// Returns freed memory to the operating system. Any thread. Takes milliseconds per 100 MiB, so call it only after a peak
    /// load.
    public static func giveBack() { csockets_trim_memory() }
}
