import CSockets

/// The process' memory, as the allocator keeps it.
public enum ProcessMemory {
    /// Gives back to the system what was freed and is kept for later. Any thread; milliseconds for 100 MiB, so for after a
    /// crowd has gone, not for every day.
    public static func giveBack() { csockets_trim_memory() }
}
