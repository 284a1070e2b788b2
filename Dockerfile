# Frank on the CPU, as a user without rights. Build and train:
#
#   docker build -t frank .
#   docker run --rm -v "$PWD/runs:/home/frank/runs" frank train LunarLander-v3
#
# Runs are written to /home/frank/runs, which belongs to the user 1000. Films need no display and no
# further packages: imageio-ffmpeg brings its own ffmpeg, and pygame draws into memory.
FROM python:3.13-slim AS build
WORKDIR /src
# Box2D has no wheels for every Python and is compiled where it has none.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential swig \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/frank && /opt/frank/bin/pip install --no-cache-dir '.[dashboard,plot]'

FROM python:3.13-slim
COPY --from=build /opt/frank /opt/frank
RUN useradd --create-home --uid 1000 frank && install -d -o frank /home/frank/runs
USER frank
WORKDIR /home/frank
ENV PATH=/opt/frank/bin:$PATH SDL_VIDEODRIVER=dummy
ENTRYPOINT ["frank"]
CMD ["--help"]
