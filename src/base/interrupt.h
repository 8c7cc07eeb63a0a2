// Ctrl-C: the first one asks long loops to stop at the next safe place, the second one ends the process at once.
#pragma once

namespace qad {

void CatchInterrupts();  // once, in main; also ignores SIGXFSZ so that a file-size limit is an ordinary write error
void LetInterruptsEndReads();  // a read that waits for a person fails at the first Ctrl-C, instead of going on
bool Interrupted();
void ThrowIfInterrupted();  // Errors: kInterrupted

}  // namespace qad
