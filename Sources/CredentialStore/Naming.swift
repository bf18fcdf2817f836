import LMDB

/// Runs LMDB work and converts its errors to ``StoreFailure``.
func naming<Value>(_ body: () throws -> Value) throws(StoreFailure) -> Value {
    do {
        return try body()
    } catch let failure as StoreFailure {
        throw failure
    } catch let error as LMDBError {
        throw .lmdb(error)
    } catch let failure as CommitFailure {
        throw .outcomeUnknown(failure.reason)
    } catch let error as FileError {
        throw .file(error)
    } catch {
        throw .unexpected(String(describing: type(of: error)))
    }
}
