# Frank on the CPU, as a user without rights. Build and train:
#
#   docker build -t frank .
#   mkdir frank-home
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/frank-home:/home/frank" frank train LunarLander-v3
#
# Runs are then in frank-home/runs and belong to you; code compiled for them lies beside, so that the
# next container starts faster. Without `--user` and `-v` it works too, and all goes with the container.
# The dashboard listens on its own machine alone: add `--network host` to see it. Films need no
# display and no further packages: imageio-ffmpeg brings its own ffmpeg, and pygame draws into memory.
FROM python:3.13-slim AS build
WORKDIR /src
# Box2D has wheels for x86-64; on ARM it is compiled, with swig.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential swig \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/frank && /opt/frank/bin/pip install --no-cache-dir '.[dashboard,plot]'

FROM python:3.13-slim
COPY --from=build /opt/frank /opt/frank
RUN useradd --create-home --uid 1000 frank
USER frank
WORKDIR /home/frank
ENV HOME=/home/frank PATH=/opt/frank/bin:$PATH SDL_VIDEODRIVER=dummy
ENTRYPOINT ["frank"]
CMD ["--help"]
