package dev.weft.core.shard;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;

/** Random programs on random meshes give what one device gives, gradients included. */
class RandomProgramsTest {
  @Property(tries = 200)
  void equalOneDevice(@ForAll @IntRange(min = 1, max = 12) int steps, @ForAll long seed) {
    RandomPrograms.Case made = RandomPrograms.make(seed, steps);
    LockStepCheck.check(made.graph(), made.mesh(), made.inputs(), 1e-8);
  }

  @Property(tries = 20_000)
  @Tag("nightly")
  void equalOneDeviceMoreOften(@ForAll @IntRange(min = 1, max = 16) int steps, @ForAll long seed) {
    RandomPrograms.Case made = RandomPrograms.make(seed, steps);
    LockStepCheck.check(made.graph(), made.mesh(), made.inputs(), 1e-8);
  }
}
