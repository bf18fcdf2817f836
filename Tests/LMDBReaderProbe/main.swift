internal import Glibc
internal import LMDB

// A process for the LMDB tests to kill. It opens the store in the folder of argument 2, runs the command of argument 1,
// writes one line to standard output and then waits to be killed.

/// Reports that the process is in the state that the test needs, and stays in it until it is killed.
func holdForever() -> Never {
    let ready: [UInt8] = Array("ready\n".utf8)
    // SAFETY: the array is valid and of that length during the call.
    _ = unsafe ready.withUnsafeBytes { unsafe write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    while true { pause() }
}

func limitFiles(toBytes bytes: Int) throws {
    var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(1 << 40))
    // SAFETY: a local struct.
    guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(3) }
}

func run(_ command: String, _ directory: String) throws {
    switch command {
    case "hold-read":
        let environment = try Environment(directory: directory, options: Environment.Options(mapBytes: 0))
        try environment.read { _ in holdForever() }
    case "hold-write":
        let environment = try Environment(directory: directory, options: Environment.Options(mapBytes: 0))
        _ = try environment.write { transaction in
            let database = try environment.openDatabase("probe", keys: .integer, in: transaction, create: true)
            // SAFETY: `bytes` is marked unsafe for types with padding; UInt8 has none.
            try unsafe transaction.put(database, key: 1, value: [UInt8](repeating: 1, count: 64).span.bytes)
            holdForever()
        }
    case "hold-lock":
        let lock = try DirectoryLock(directory: directory)
        withExtendedLifetime(lock) { holdForever() }
    case "fail-commit":
        // The file may not grow any more, so writing the pages fails in the middle of the commit, before the meta page.
        let environment = try Environment(directory: directory, options: Environment.Options(mapBytes: 0))
        let database = try environment.openDatabase("numbers", keys: .integer)
        func put(_ key: UInt64) throws {
            _ = try environment.write { transaction in
                // SAFETY: `bytes` is marked unsafe for types with padding; UInt8 has none.
                try unsafe transaction.put(database, key: key, value: [UInt8](repeating: 2, count: 1 << 20).span.bytes)
            }
        }
        // SAFETY: without the handler the signal would end the process before the error is seen.
        signal(SIGXFSZ, SIG_IGN)
        try limitFiles(toBytes: environment.statistics().fileBytes)
        do {
            try put(2)
        } catch LMDBError.system(EFBIG) {
            try limitFiles(toBytes: 1 << 40)
            try put(3)
            holdForever()
        }
    default:
        exit(2)
    }
}

guard CommandLine.arguments.count == 3 else { exit(2) }
do {
    try run(CommandLine.arguments[1], CommandLine.arguments[2])
} catch {
    print("failed: \(error)")
    exit(1)
}
