package dev.weft.runtime.trainer;

import dev.weft.core.cluster.UserException;
import java.util.Optional;

/** Training met a not-a-number or an infinity. */
public final class NonFiniteException extends UserException {
  NonFiniteException(long step, String what, Optional<String> first) {
    super(
        "the "
            + what
            + " of step "
            + step
            + " is no finite number; the first op that went wrong: "
            + first.orElse("none when run again, so it was the sum over the batch")
            + "; a smaller --learning-rate, a longer --warmup or --clip usually helps");
  }
}
