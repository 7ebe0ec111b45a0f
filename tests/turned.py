"""A problem whose batches and validations take given times on a clock that is turned by hand."""


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Turning:
    """Turns the clock by ``batch`` seconds at each training batch, and by ``validation`` at each validation.

    ``validated`` has the time after each validation since the clock was new.
    """

    def __init__(self, problem, clock, *, batch=1.0, validation=0.0):
        self._problem, self._clock, self._batch, self._validation = problem, clock, batch, validation
        self.validated = []
        self._training = False

    def __getattr__(self, name):
        return getattr(self._problem, name)

    def batches(self, *arguments):
        batches = self._problem.batches(*arguments)
        if self._training:  # those of the training are asked for first
            return batches
        self._training = True
        return WatchedBatches(batches, before=self.turn)

    def turn(self):
        self._clock.now += self._batch

    def scores(self, *arguments):
        scores = self._problem.scores(*arguments)
        self._clock.now += self._validation
        self.validated.append(self._clock.now - 100.0)
        return scores


class WatchedBatches:
    """Batches that tell of each one: ``before`` it is given, and ``after`` the training has done with it."""

    def __init__(self, batches, *, before=lambda: None, after=lambda: None):
        self._batches, self._before, self._after = batches, before, after
        self.generator = batches.generator

    def __len__(self):
        return len(self._batches)

    def __iter__(self):
        for batch in self._batches:
            self._before()
            yield batch
            self._after()
